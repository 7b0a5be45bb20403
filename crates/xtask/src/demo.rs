//! `demo`: set-up and the main job, three times on three parts.

use crate::{
    console,
    plant::{Plant, build},
    story::{approve_program, verify_apart, whole_job},
    tools::{flag, option, root, step, target},
};
use anyhow::{Context, Result, bail};
use serde_json::{Value, json};
use std::{
    path::{Path, PathBuf},
    time::Instant,
};

/// Runs it.
pub fn run(arguments: &[String]) -> Result<()> {
    let out = option(arguments, "--out").map_or_else(|| target().join("demo"), PathBuf::from);
    let images = option(arguments, "--images").map(PathBuf::from);
    if out.join("plant").exists() {
        if option(arguments, "--out").is_some() {
            bail!("`{}` holds a plant already: choose another folder", out.display());
        }
        std::fs::remove_dir_all(&out)?;
    }
    std::fs::create_dir_all(&out)?;
    let out = out.canonicalize()?;
    step("building (the first time takes a few minutes)");
    let began = Instant::now();
    if flag(arguments, "--console") {
        console::embed()?;
        return with_console(&build("quick")?, &out);
    }
    let bin = build("quick")?;
    let built = began.elapsed();

    step("starting a plant: site, witness, cell with its robot and camera, analyst");
    let mut extra = vec!["--name".to_owned(), "Demo plant".to_owned()];
    let parts = match &images {
        Some(dir) => {
            extra.extend(["--images".to_owned(), dir.display().to_string()]);
            parts_of(dir)?
        }
        None => {
            extra.extend(["--defective".to_owned(), "flange-003".to_owned()]);
            vec!["flange-001".into(), "flange-002".into(), "flange-003".into()]
        }
    };
    let running = Instant::now();
    let mut plant = Plant::start(&bin, &out, &extra)?;
    approve_program(&plant)?;
    eprintln!("   program `scan` approved by integrator and officer-2");
    if let Some(dir) = &images {
        for part in &parts {
            let template = dir.join(format!("{part}_template.jpg"));
            if template.exists() {
                plant.change(
                    "integrator",
                    &["template", "add", part, &template.display().to_string()],
                )?;
                eprintln!("   template of `{part}` approved");
            }
        }
    }

    let passports = out.join("passports");
    let mut items = Vec::new();
    let mut third = None;
    for part in &parts {
        step(&format!("part `{part}`"));
        items.push(whole_job(&plant, part, &passports, &mut |words| eprintln!("   ✓ {words}"))?);
        if items.len() == 3 {
            third = Some(running.elapsed());
        }
    }
    let again = match parts.last() {
        Some(last) => {
            step(&format!("part `{last}` comes back: is it the very one, and what changed?"));
            let second = passports.join("second-scan");
            whole_job(&plant, last, &second, &mut |words| eprintln!("   ✓ {words}"))?
        }
        None => Value::Null,
    };

    step("auditing the ledger, then switching the plant off");
    let audit = plant.by("auditor", &["audit", "replay"])?;
    eprintln!("   ✓ {} entries replayed, state {}", audit["entries"], audit["state"]);
    plant.down();
    let mut verified = Vec::new();
    for part in &parts {
        for form in ["vc.jwt", "json", "html"] {
            verify_apart(&plant, &passports.join(format!("{part}.{form}")))?;
        }
        let found = verify_apart(&plant, &passports.join(format!("{part}.vc.jwt")))?;
        eprintln!(
            "   ✓ passport of `{part}` verifies offline, in an empty folder: {}",
            found["verdict"]
        );
        verified.push(found);
    }
    let seconds = |d: std::time::Duration| (d.as_secs_f64() * 10.0).round() / 10.0;
    let summary = json!({
        "parts": items, "second_scan": again, "audit": audit,
        "build_s": seconds(built), "to_third_passport_s": third.map(seconds),
        "verified_offline": verified.len(),
        "files": { "passports": passports, "plant": plant.dir, "ledger": plant.dir.join("site/data/ledger") },
    });
    std::fs::write(out.join("summary.json"), serde_json::to_string_pretty(&summary)? + "\n")?;
    tell(&summary, &out);
    if flag(arguments, "--keep") {
        plant.up()?;
        eprintln!("\nthe plant runs again until you press Enter");
        let mut line = String::new();
        std::io::stdin().read_line(&mut line)?;
    }
    Ok(())
}

/// One finished job to look at, then the console is the viewer's.
fn with_console(bin: &Path, out: &Path) -> Result<()> {
    step("starting a plant: site with console, witness, cell with its robot and camera, analyst");
    let mut plant = console::started(bin, out)?;
    step("one part, so that there is something to see");
    whole_job(&plant, "flange-1", &out.join("passports"), &mut |words| eprintln!("   ✓ {words}"))?;
    println!("\nThe console is yours. Each link makes one person's passkey, once:\n");
    for person in ["officer-1", "officer-2", "operator", "integrator", "ml-engineer", "auditor"] {
        let link = std::fs::read_to_string(plant.dir.join(person).join("enrol-link.txt"))?;
        println!("  {person:<12} {}", link.trim());
    }
    println!(
        "\nOpen operator's link, then order a run of `scan` on a part of your choice. Your browser asks for\n\
         a passkey: a phone, a security key or this computer's own. Without one, a browser made on Chromium\n\
         has one for trying out: developer tools, More tools, WebAuthn, Enable virtual authenticator\n\
         (ctap2, internal, resident keys, user verification).\n\nPress Enter to end the demo."
    );
    let mut line = String::new();
    std::io::stdin().read_line(&mut line)?;
    plant.down();
    Ok(())
}

/// The first three parts that a folder of photographs holds.
fn parts_of(dir: &Path) -> Result<Vec<String>> {
    let entries = std::fs::read_dir(dir).with_context(|| format!("`{}`", dir.display()))?;
    let mut parts: Vec<String> = entries
        .flatten()
        .filter_map(|entry| {
            let name = entry.file_name().into_string().ok()?;
            match entry.path().is_dir() {
                true => Some(name),
                false => name.strip_suffix("_test.jpg").map(str::to_owned),
            }
        })
        .collect();
    parts.sort();
    parts.truncate(3);
    if parts.is_empty() {
        bail!(
            "`{}`: one folder of photographs for each part, or NNNN_test.jpg files, are expected",
            dir.display()
        );
    }
    Ok(parts)
}

fn tell(summary: &Value, out: &Path) {
    println!("\nWhat happened");
    for item in summary["parts"].as_array().into_iter().flatten().chain([&summary["second_scan"]]) {
        println!(
            "  {}: {}",
            item["part"].as_str().unwrap_or_default(),
            item["verdict"].as_str().unwrap_or_default()
        );
        for s in item["steps"].as_array().into_iter().flatten() {
            let seconds = s["at_ms"].as_f64().unwrap_or_default() / 1000.0;
            println!(
                "    {seconds:6.1} s  {:<9} {}",
                s["step"].as_str().unwrap_or_default(),
                s["words"].as_str().unwrap_or_default()
            );
        }
    }
    println!(
        "  third passport after {} s (building took {} s)",
        summary["to_third_passport_s"], summary["build_s"]
    );
    let shown = out.strip_prefix(root()).unwrap_or(out).display();
    println!("\nFiles in `{shown}`");
    println!("  summary.json           all of the above with every proof");
    println!("  passports/PART.html    open one in a browser");
    println!("  passports/PART.vc.jwt  verify with: interlock passport verify PART.vc.jwt");
    println!("  plant/                 one folder for each machine and person");
}
