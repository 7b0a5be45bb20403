//! `audit trace`: an export of the console's trace page, verified offline.

use super::context::{Context, Failure, legible};
use ::passport::{Anchors, MAX_TRACE_BYTES, Trace, verify_trace};
use serde_json::json;
use std::{fs::File, io::Read, path::Path};

/// Verifies the export in `file`, trusting `anchors` or else the file's own.
pub fn run(context: &Context, file: &Path, anchors: Option<&Path>) -> Result<(), Failure> {
    let pin = anchors.map(node::config::read_anchors).transpose()?;
    let pin = pin.map(|a| Anchors { genesis: a.genesis, log: a.log });
    let bytes = read(file).map_err(|e| Failure::Failed(format!("`{}`: {e}", file.display())))?;
    let trace =
        verify_trace(&bytes, pin.as_ref()).map_err(|e| Failure::Broken(legible(&e.to_string())))?;
    let holds = trace.holds();
    let value = json!({ "verified": holds, "trace": trace });
    context.print(&value, |_| render(&trace))?;
    if holds { Ok(()) } else { Err(Failure::Shown) }
}

/// The file, and one byte more when it is longer than an export may be.
fn read(file: &Path) -> std::io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    File::open(file)?.take(MAX_TRACE_BYTES as u64 + 1).read_to_end(&mut bytes)?;
    Ok(bytes)
}

fn render(trace: &Trace) -> String {
    let mut text = format!("order {}\n", trace.order);
    for check in &trace.checks {
        let mark = if check.ok { '✓' } else { '✗' };
        text.push_str(&format!("  {mark} {:<9} {}\n", check.step, legible(&check.words)));
    }
    let broken = trace.checks.iter().filter(|check| !check.ok).count();
    text.push_str(&match broken {
        0 => format!("verified: all {} steps hold\n", trace.checks.len()),
        _ => format!("broken: {broken} of {} steps do not hold\n", trace.checks.len()),
    });
    text.push_str(&match trace.pinned {
        true => format!("trust: pinned to plant {}\n", trace.genesis),
        false => format!(
            "trust: the file's own anchors, plant {}; compare it with what the plant published, or give --anchors\n",
            trace.genesis
        ),
    });
    text.push_str(
        "an excerpt cannot show what it leaves out: `interlock audit replay` reads the whole ledger",
    );
    text
}
