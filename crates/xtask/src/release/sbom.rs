//! What the programs are made of, as CycloneDX 1.5. For Rust it is made from what
//! cargo resolves for this lock file and platform, without tests and build tools of
//! the workspace; for the console npm makes it. Neither holds a time or a random
//! number, so that two builds have the same.

use super::asked;
use anyhow::{Context, Result};
use serde_json::{Value, json};
use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
    process::Command,
};

/// The crates that are linked into the programs or take part in their build.
pub fn rust(source: &Path, programs: &[&str], mut cargo: Command) -> Result<Value> {
    let metadata = asked(
        cargo
            .args(["metadata", "--format-version", "1", "--locked"])
            .args(["--filter-platform", "x86_64-unknown-linux-gnu"])
            .current_dir(source),
    )?;
    let lock = std::fs::read_to_string(source.join("Cargo.lock"))?;
    let sums = checksums(&lock);
    let list = |value: &Value| value.as_array().cloned().unwrap_or_default();
    let packages: BTreeMap<String, Value> = list(&metadata["packages"])
        .into_iter()
        .map(|package| (text(&package["id"]), package))
        .collect();
    let edges: BTreeMap<String, Vec<String>> = list(&metadata["resolve"]["nodes"])
        .iter()
        .map(|node| {
            let used = |dep: &Value| list(&dep["dep_kinds"]).iter().any(|k| k["kind"] != "dev");
            let deps = list(&node["deps"]);
            let deps = deps.iter().filter(|dep| used(dep)).map(|dep| text(&dep["pkg"]));
            (text(&node["id"]), deps.collect())
        })
        .collect();
    let mut todo: Vec<String> = packages
        .iter()
        .filter(|(_, p)| programs.contains(&p["name"].as_str().unwrap_or_default()))
        .map(|(id, _)| id.clone())
        .collect();
    let mut reached = BTreeSet::new();
    while let Some(id) = todo.pop() {
        if reached.insert(id.clone()) {
            todo.extend(edges.get(&id).into_iter().flatten().cloned());
        }
    }
    let purl = |id: &String| -> Result<String> {
        let package = packages.get(id).with_context(|| format!("no package {id}"))?;
        Ok(format!("pkg:cargo/{}@{}", text(&package["name"]), text(&package["version"])))
    };
    let mut components = BTreeMap::new();
    let mut dependencies = BTreeMap::new();
    for id in &reached {
        let (reference, package) = (purl(id)?, &packages[id]);
        let program = programs.contains(&package["name"].as_str().unwrap_or_default());
        let mut component = json!({
            "type": if program { "application" } else { "library" },
            "bom-ref": reference, "purl": reference,
            "name": package["name"], "version": package["version"],
        });
        if let Some(license) = package["license"].as_str() {
            component["licenses"] = json!([{ "expression": license.replace('/', " OR ") }]);
        }
        let key = (text(&package["name"]), text(&package["version"]));
        if let Some(sum) = sums.get(&key) {
            component["hashes"] = json!([{ "alg": "SHA-256", "content": sum }]);
        }
        components.insert(reference.clone(), component);
        let on: Result<BTreeSet<String>> = edges.get(id).into_iter().flatten().map(&purl).collect();
        dependencies.insert(reference.clone(), json!({ "ref": reference, "dependsOn": on? }));
    }
    let version = packages.values().find(|p| p["name"] == "interlock").map(|p| &p["version"]);
    Ok(json!({
        "bomFormat": "CycloneDX", "specVersion": "1.5", "version": 1,
        "metadata": { "component": {
            "type": "application", "bom-ref": "interlock-release", "name": "interlock-release",
            "version": version,
        } },
        "components": components.into_values().collect::<Vec<_>>(),
        "dependencies": dependencies.into_values().collect::<Vec<_>>(),
    }))
}

/// The console's packages, as npm says; those that only build it too, for they write
/// what the programs embed.
pub fn npm(mut command: Command) -> Result<Value> {
    let mut bom = asked(command.args(["--sbom-format", "cyclonedx", "--package-lock-only"]))?;
    if let Some(bom) = bom.as_object_mut() {
        bom.remove("serialNumber");
    }
    if let Some(metadata) = bom["metadata"].as_object_mut() {
        metadata.remove("timestamp");
    }
    Ok(bom)
}

/// The registry's checksums in a lock file, by name and version.
fn checksums(lock: &str) -> BTreeMap<(String, String), String> {
    let field = |part: &str, name: &str| {
        let line = part.lines().find_map(|line| line.strip_prefix(&format!("{name} = \"")))?;
        Some(line.trim_end_matches('"').to_owned())
    };
    lock.split("[[package]]")
        .filter_map(|part| {
            let key = (field(part, "name")?, field(part, "version")?);
            Some((key, field(part, "checksum")?))
        })
        .collect()
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lock_file_names_its_checksums() {
        let lock = "version = 4\n[[package]]\nname = \"a\"\nversion = \"1.0.0\"\n\
                    checksum = \"00ff\"\n\n[[package]]\nname = \"own\"\nversion = \"0.1.0\"\n";
        let found = checksums(lock);
        assert_eq!(found.len(), 1);
        assert_eq!(found[&("a".to_owned(), "1.0.0".to_owned())], "00ff");
    }
}
