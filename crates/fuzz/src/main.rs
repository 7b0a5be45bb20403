//! One program for all targets, which libFuzzer drives: `INTERLOCK_FUZZ` names the
//! target. `cargo xtask fuzz` builds and starts it.
#![no_main]

use std::sync::LazyLock;

static TARGET: LazyLock<fuzz::Target> = LazyLock::new(|| {
    let name = std::env::var("INTERLOCK_FUZZ").unwrap_or_default();
    fuzz::TARGETS.iter().copied().find(|t| t.name == name).unwrap_or(fuzz::Target {
        name: "none",
        most: 0,
        run: |_| std::process::exit(2),
    })
});

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| (TARGET.run)(bytes));
