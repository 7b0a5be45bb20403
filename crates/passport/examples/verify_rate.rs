//! How many times a second one core verifies a passport, everything included.
//!
//! `cargo run --release -p passport --example verify_rate -- FILE [SECONDS]`
//! takes any of a passport's three files and prints one line of JSON.
// An example is a shell: it reads the file and the clock.
#![allow(clippy::print_stdout, clippy::disallowed_methods)]

use std::{
    error::Error,
    fs,
    time::{Duration, Instant},
};

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let file = arguments.next().ok_or("verify_rate FILE [SECONDS]")?;
    let seconds: f64 = arguments.next().map_or(Ok(3.0), |text| text.parse())?;
    let bytes = fs::read(&file)?;
    let verify = || passport::verify_file(&bytes, None).map_err(|e| format!("`{file}`: {e}"));
    verify()?;
    let (started, limit) = (Instant::now(), Duration::from_secs_f64(seconds));
    let mut count = 0_u32;
    while started.elapsed() < limit {
        verify()?;
        count += 1;
    }
    let per_s = f64::from(count) / started.elapsed().as_secs_f64();
    let report = serde_json::json!({
        "verifications": count, "per_s": per_s, "file_bytes": bytes.len(),
    });
    println!("{report}");
    Ok(())
}
