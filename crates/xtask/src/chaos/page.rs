//! The page that `docs/` holds: what was done, what was left, what each machine said.

use anyhow::Result;
use serde_json::Value;
use std::{fmt::Write, path::Path};

/// Pixels: a bar's height with its space, where bars begin, the longest bar.
const ROW: usize = 22;
const LEFT: usize = 220;
const LONGEST: u64 = 380;

/// Writes `chaos.md` and its plot into a folder.
pub fn write(docs: &Path, report: &Value) -> Result<()> {
    std::fs::write(docs.join("chaos.svg"), plot(&faults(report))?)?;
    Ok(std::fs::write(docs.join("chaos.md"), page(report)?)?)
}

/// The faults with how often each happened, most first.
fn faults(report: &Value) -> Vec<(String, u64)> {
    let all = report["faults"].as_object().into_iter().flatten();
    let mut all: Vec<_> =
        all.map(|(name, count)| (name.clone(), count.as_u64().unwrap_or_default())).collect();
    all.sort_by_key(|(name, count)| (std::cmp::Reverse(*count), name.clone()));
    all
}

fn plot(faults: &[(String, u64)]) -> Result<String> {
    let most = faults.iter().map(|(_, count)| *count).max().unwrap_or(1).max(1);
    let (width, height) = (LEFT + 440, faults.len() * ROW + 12);
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width}\" height=\"{height}\" \
         viewBox=\"0 0 {width} {height}\" font-family=\"sans-serif\" font-size=\"13\">\n\
         <title>How often each fault happened</title>\n\
         <rect width=\"{width}\" height=\"{height}\" fill=\"#fff\"/>\n"
    );
    for (row, (name, count)) in faults.iter().enumerate() {
        let (top, length) = (row * ROW + 6, count * LONGEST / most);
        let (base, end) = (top + 14, LEFT as u64 + length + 8);
        writeln!(
            svg,
            "<text x=\"{}\" y=\"{base}\" text-anchor=\"end\">{name}</text>\
             <rect x=\"{LEFT}\" y=\"{top}\" width=\"{length}\" height=\"16\" fill=\"#2f6f9f\"/>\
             <text x=\"{end}\" y=\"{base}\">{count}</text>",
            LEFT - 8
        )?;
    }
    Ok(svg + "</svg>\n")
}

fn page(report: &Value) -> Result<String> {
    let mut text = format!(
        "# Killed, frozen, cut off, starved\n\n\
         Made by `cargo xtask chaos --docs` (the same seed throws the same faults: `--seed {}`). Every\n\
         process is a real one, on a plant of its own: site, witness, cell and analyst, with a simulated\n\
         controller. Meanwhile two people order runs.\n\n```text\n{}\n```\n\n\
         ![How often each fault happened](chaos.svg)\n\n\
         A kill is `SIGKILL` at a random moment and a new start after a moment. A frozen machine stands still\n\
         for up to 3 s. A cut loses what one side of cell and site says, for up to 4.5 s. A full disk has not\n\
         one byte left, and every other time the machine is killed and started on it. A wrong clock is an\n\
         hour ahead or half an hour behind for up to 4.5 s.\n\n\
         What is shown: an entry that was acknowledged is on the ledger at the index that was told; the ledger's\n\
         files, roots and cosignatures check; each order moved the robot at most once by the robot's own\n\
         count, and none did whose start is not on the ledger; each run that says it finished has its recordings, and\n\
         every other says that it did not; the cell took no fault for a lie. Of the finished runs, all or 20 that the\n\
         seed draws are granted to the analyst, who verifies each recording to its last byte. Every second\n\
         finished run is granted meanwhile, while the analyst is killed, too: under each grant stands one report,\n\
         and what it says was used is what the ledger has reads of.\n",
        report["seed"],
        super::words(report),
    );
    let starved = report["starved"].as_array().cloned().unwrap_or_default();
    if !starved.is_empty() {
        text.push_str(
            "\n## Without room, with a wrong clock, without news\n\n\
             One machine at a time. While it lasts nothing moves that should not, what was acknowledged stays,\n\
             and the plant goes on with the same order, or the next one, when it is over.\n\n\
             | what it wants for | what is said | mends |\n|---|---|---|\n",
        );
    }
    for case in starved {
        let cell = |name: &str| {
            case[name].as_str().unwrap_or_default().replace('|', "\\|").replace('\n', " ")
        };
        let run = match case["run_says"].as_str() {
            Some(_) => format!("<br>The run: {}", cell("run_says")),
            None => String::new(),
        };
        writeln!(text, "| {} | {}{run} | {} |", cell("want"), cell("said"), cell("mends"))?;
    }
    Ok(text)
}
