//! Measures the analyses on labelled folders of photographs.
//!
//! `inspect-eval identity DIR` and `inspect-eval inspect DIR` print the figures,
//! with `--json` as one object, and write curves and example pictures to `--out`.
//! Progress goes to standard error.

use anyhow::{Context, Result};
use clap::{Args, Parser, Subcommand};
use inspect::eval::{figures::Figures, identity, inspection};
use std::io::{IsTerminal, Write};
use std::path::PathBuf;
use std::process::ExitCode;

#[derive(Parser)]
#[command(about = "Measures identity and inspection on labelled folders of photographs")]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Is this the very part that was enrolled? One folder for each part.
    Identity(What),
    /// Where does a board differ from its template? NAME_template, NAME_test, NAME.txt.
    Inspect(What),
}

#[derive(Args)]
struct What {
    /// The folder of photographs.
    dir: PathBuf,
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
    /// Write curves and example pictures there.
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// At most so many pairs of each sort instead of the usual numbers (identity), or
    /// boards (inspect).
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    limit: Option<u32>,
}

fn main() -> ExitCode {
    let outcome = match Cli::parse().command {
        Command::Identity(what) => identity(&what),
        Command::Inspect(what) => inspect(&what),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(e) => {
            eprintln!("inspect-eval: {e}");
            ExitCode::FAILURE
        }
    }
}

fn identity(what: &What) -> Result<()> {
    let options =
        identity::Options { limit: what.limit.map(|n| n as usize), out: what.out.clone() };
    let report = identity::run(&what.dir, &options, &progress)?;
    if what.json {
        return print_json(&report);
    }
    println!("identity: {} photographs of {} parts", report.photographs, report.parts);
    println!("{}", report.sampling);
    println!();
    println!("{:<12}{HEAD}", "");
    println!("{:<12}{}", "as it is", row(&report.figures));
    for (kind, figures) in &report.under_change.by_kind {
        println!("{kind:<12}{}", row(figures));
    }
    println!("{:<12}{}", "all changes", row(&report.under_change.figures));
    println!();
    println!(
        "each photograph takes {:.1} ms to compare (one thread), {:.1} to decode; enrolling {:.1} ms",
        report.ms_per_image, report.ms_decode, report.ms_enrol
    );
    done(what)
}

const HEAD: &str = "    EER  (95% at most)  FAR at FRR 0   at FRR 1%       d'   at the threshold: FAR      FRR     pairs";

fn row(f: &Figures) -> String {
    format!(
        "{:6.3}%  {:11.3}%  {:11.3}%  {:9.3}%  {:7.2}  {:>21.3}%  {:6.3}%  {} + {}",
        100.0 * f.eer,
        100.0 * f.eer_ci95[1],
        100.0 * f.far_at_frr_0.value,
        100.0 * f.far_at_frr_1pct.value,
        f.d_prime,
        100.0 * f.far.value,
        100.0 * f.frr.value,
        f.genuine,
        f.impostor
    )
}

fn inspect(what: &What) -> Result<()> {
    let options = inspection::Options {
        limit: what.limit.map(|n| n as usize),
        out: what.out.clone(),
        ..Default::default()
    };
    let report = inspection::run(&what.dir, &options, &mut |done, of| progress(done, of))?;
    if what.json {
        return print_json(&report);
    }
    let text = serde_json::to_string_pretty(&report).context("the report can't be written down")?;
    println!("{text}");
    done(what)
}

fn done(what: &What) -> Result<()> {
    if let Some(out) = &what.out {
        println!("curves and pictures are in {}", out.display());
    }
    Ok(())
}

/// A closed pipe (`| head`) is no error.
fn print_json(report: &impl serde::Serialize) -> Result<()> {
    let text = serde_json::to_string(report).context("the report can't be written down")?;
    let _ = std::io::Write::write_fmt(&mut std::io::stdout(), format_args!("{text}\n"));
    Ok(())
}

/// A line that rewrites itself on a terminal, and a line for each tenth elsewhere.
fn progress(done: usize, of: usize) {
    let mut err = std::io::stderr().lock();
    // Progress that can't be shown is no reason to stop.
    let _ = if err.is_terminal() {
        let end = if done == of { "\n" } else { "" };
        write!(err, "\r{done} of {of}{end}").and_then(|()| err.flush())
    } else if done == of || done.is_multiple_of(of.div_ceil(10).max(1)) {
        writeln!(err, "{done} of {of}")
    } else {
        Ok(())
    };
}
