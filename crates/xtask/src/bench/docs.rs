//! The figures as a page: a table between two marks, and a plot for each measure that
//! has somebody beside it.

use super::report::{Goal, Measure};
use anyhow::{Context, Result};
use serde_json::Value;
use std::{fmt::Write, fs, path::Path};

/// What stands around the part of the page that is written here.
const BEGIN: &str = "<!-- figures: cargo xtask bench --docs -->\n";
const END: &str = "<!-- end of figures -->";

/// Writes `benchmarks.md`'s figures and `bench/NAME.svg` in the documentation's folder.
pub fn write(docs: &Path, report: &Value, measures: &[Measure]) -> Result<()> {
    let plots = docs.join("bench");
    fs::create_dir_all(&plots)?;
    let mut text = String::new();
    let said = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    let machine = &report["machine"];
    writeln!(
        text,
        "Measured on {} at commit `{}`, {}, on {} cores of {} ({}), load at the end {}.\n",
        said(&report["date"]),
        said(&report["commit"]),
        said(&report["programs"]),
        machine["cores"],
        said(&machine["cpu"]),
        said(&machine["system"]),
        said(&machine["load"]),
    )?;
    text.push_str("| measure | ours | goal | beside it |\n|---|---|---|---|\n");
    for m in measures {
        let peers: Vec<String> = m.peers.iter().map(|p| beside(m, &p.name, p.value)).collect();
        let ours = number(m.value);
        writeln!(
            text,
            "| `{}` | {ours} {} | {} | {} |",
            m.name,
            m.unit,
            goal(m),
            peers.join("; ")
        )?;
    }
    text.push_str("\n| limit of this machine | |\n|---|---|\n");
    for (name, value) in report["limits"].as_object().into_iter().flatten() {
        writeln!(text, "| `{name}` | {} |", number(value.as_f64().unwrap_or_default()))?;
    }
    text.push('\n');
    let stages = measures.iter().find_map(|m| m.details["stages_p50_ms"].as_array());
    if let Some(stages) = stages {
        text.push_str("| stage of an order until its permit | median, ms |\n|---|---|\n");
        for stage in stages {
            let ms = number(stage["ms"].as_f64().unwrap_or_default());
            writeln!(text, "| {} | {ms} |", said(&stage["stage"]))?;
        }
        text.push('\n');
    }
    for m in
        measures.iter().filter(|m| m.goal.is_some() || m.peers.iter().any(|p| p.value.is_some()))
    {
        fs::write(plots.join(format!("{}.svg", m.name)), plot(m)?)?;
        writeln!(text, "![{} beside its goal and peers](bench/{}.svg)\n", m.name, m.name)?;
    }
    let path = docs.join("benchmarks.md");
    let page = fs::read_to_string(&path)?;
    let marks =
        page.split_once(BEGIN).and_then(|(before, rest)| Some((before, rest.split_once(END)?.1)));
    let (before, after) = marks
        .with_context(|| format!("`{}` lacks the marks `{}`", path.display(), BEGIN.trim()))?;
    Ok(fs::write(path, format!("{before}{BEGIN}\n{text}{END}{after}"))?)
}

fn beside(m: &Measure, name: &str, value: Option<f64>) -> String {
    match value {
        Some(value) => {
            format!("{name}: {} (ours is {:.2} times it)", number(value), m.value / value)
        }
        None => name.to_owned(),
    }
}

fn goal(m: &Measure) -> String {
    let words = match m.goal {
        Some(Goal::AtLeast(least)) => format!("at least {}", number(least)),
        Some(Goal::AtMost(most)) => format!("at most {}", number(most)),
        None => return String::new(),
    };
    let met = if m.met() == Some(true) { "met" } else { "**missed**" };
    format!("{words}: {met}")
}

/// Three figures that count.
fn number(value: f64) -> String {
    match value.abs() {
        v if v >= 100.0 || v == 0.0 => format!("{value:.0}"),
        v if v >= 10.0 => format!("{value:.1}"),
        _ => format!("{value:.2}"),
    }
}

/// Width of a plot, of the part left of the bars, and the height of a row.
const WIDTH: f64 = 760.0;
const LEFT: f64 = 300.0;
const ROW: f64 = 26.0;
/// Room right of the longest bar, for its figure.
const RIGHT: f64 = 80.0;

/// Bars of ours and the peers', with a line at the goal; its colours follow the
/// reader's theme.
fn plot(m: &Measure) -> Result<String> {
    let peers = m.peers.iter().filter_map(|p| Some((p.name.as_str(), p.value?)));
    let bars: Vec<(&str, f64)> = [("Interlock", m.value)].into_iter().chain(peers).collect();
    let aim = m.goal.map(|goal| match goal {
        Goal::AtLeast(at) | Goal::AtMost(at) => at,
    });
    let most = bars.iter().map(|(_, v)| *v).chain(aim).fold(f64::MIN_POSITIVE, f64::max);
    let x = |value: f64| LEFT + value / most * (WIDTH - LEFT - RIGHT);
    let height = 44.0 + bars.len() as f64 * ROW + 24.0;
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height}\" role=\"img\">\n\
         <title>{name}, {unit}</title>\n\
         <style>text{{font:13px system-ui,sans-serif;fill:#1c2733}}.t{{font-weight:600}}\
         .us{{fill:#0b6bcb}}.peer{{fill:#8a97a6}}.goal{{stroke:#b3440e;stroke-width:2;stroke-dasharray:5 3}}\
         .g{{fill:#b3440e}}@media(prefers-color-scheme:dark){{text{{fill:#e6edf3}}.us{{fill:#58a6ff}}\
         .peer{{fill:#7d8894}}.goal{{stroke:#ff9e64}}.g{{fill:#ff9e64}}}}</style>\n\
         <text class=\"t\" x=\"8\" y=\"22\">{name} ({unit})</text>\n",
        name = escaped(m.name),
        unit = escaped(m.unit),
    );
    for (row, (name, value)) in bars.iter().enumerate() {
        let y = 36.0 + row as f64 * ROW;
        let class = if row == 0 { "us" } else { "peer" };
        let width = (x(*value) - LEFT).max(1.0);
        writeln!(
            svg,
            "<text x=\"{:.0}\" y=\"{:.0}\" text-anchor=\"end\">{}</text>\
             <rect class=\"{class}\" x=\"{LEFT}\" y=\"{y:.0}\" width=\"{width:.1}\" height=\"18\" rx=\"2\"/>\
             <text x=\"{:.1}\" y=\"{:.0}\">{}</text>",
            LEFT - 8.0,
            y + 14.0,
            escaped(name),
            LEFT + width + 6.0,
            y + 14.0,
            number(*value),
        )?;
    }
    if let (Some(goal), Some(aim)) = (m.goal, aim) {
        let (at, end) = (x(aim), 36.0 + bars.len() as f64 * ROW);
        let side = if matches!(goal, Goal::AtLeast(_)) { "at least" } else { "at most" };
        writeln!(
            svg,
            "<line class=\"goal\" x1=\"{at:.1}\" x2=\"{at:.1}\" y1=\"30\" y2=\"{end:.0}\"/>\
             <text class=\"g\" x=\"{at:.1}\" y=\"{:.0}\" text-anchor=\"middle\">goal: {side} {}</text>",
            end + 16.0,
            number(aim),
        )?;
    }
    svg.push_str("</svg>\n");
    Ok(svg)
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;")
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_page_gets_its_figures_between_the_marks_again_and_again() {
        let dir = std::env::temp_dir().join(format!("bench-docs-{}", std::process::id()));
        fs::create_dir_all(&dir).unwrap();
        let page = dir.join("benchmarks.md");
        fs::write(&page, format!("# Before\n{BEGIN}old\n{END}\nafter\n")).unwrap();
        let row = || {
            Measure::new("entries", 12_000.0, "1/s")
                .goal(Goal::AtLeast(10_000.0))
                .peer("a < b", Some(6000.0))
                .peer("none: not here", None)
        };
        let report = json!({ "date": "2026-01-01", "limits": { "sha256_mb_per_s": 1400.0 } });
        for _ in 0..2 {
            write(&dir, &report, &[row(), Measure::new("alone", 1.0, "ms")]).unwrap();
        }
        let text = fs::read_to_string(&page).unwrap();
        assert!(text.starts_with("# Before\n") && text.ends_with("\nafter\n"), "{text}");
        assert_eq!(text.matches("| `entries` | 12000 1/s | at least 10000: met |").count(), 1);
        assert!(text.contains("a < b: 6000 (ours is 2.00 times it); none: not here"), "{text}");
        assert!(!text.contains("old") && text.contains("`sha256_mb_per_s` | 1400"), "{text}");
        let svg = fs::read_to_string(dir.join("bench/entries.svg")).unwrap();
        assert!(svg.contains("a &lt; b") && svg.contains("goal: at least 10000"), "{svg}");
        assert!(!dir.join("bench/alone.svg").exists(), "nothing stands beside it");
        fs::write(&page, "no marks").unwrap();
        assert!(write(&dir, &report, &[]).is_err());
        fs::remove_dir_all(dir).unwrap();
    }
}
