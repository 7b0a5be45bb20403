//! A site's folder backed up while it runs, restored as on an empty machine, and the
//! old backup that must not become a second history.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod common;

use base::{Digest, sha256, to_canonical};
use common::{Plant, house::House, id};
use futures::{StreamExt, TryStreamExt};
use node::{fresh_nonce, now};
use plant::{Body, body::Hold};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use std::{
    io::Read,
    os::unix::fs::PermissionsExt,
    path::Path,
    process::{Child, Command, Stdio},
    time::Duration,
};
use vault::seal::{OpeningReader, SealingWriter, SliceSource, StreamHeader};

fn hold(reason: &str) -> Body {
    Body::Hold(Hold { cell: Some(id("cell-2")), reason: reason.into() })
}

/// Calls `interlock --json`: its exit code and its answer.
fn call<S: AsRef<std::ffi::OsStr>>(arguments: &[S]) -> (i32, Value) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_interlock"));
    let done = command.arg("--json").args(arguments).output().unwrap();
    let text = String::from_utf8_lossy(&done.stdout).into_owned();
    let said = serde_json::from_str(&text).unwrap_or(Value::String(text));
    (done.status.code().unwrap(), said)
}

fn done<S: AsRef<std::ffi::OsStr>>(arguments: &[S]) -> Value {
    let (code, said) = call(arguments);
    assert_eq!(code, 0, "{said}");
    said
}

fn refused<S: AsRef<std::ffi::OsStr>>(arguments: &[S], words: &str) {
    let (code, said) = call(arguments);
    assert_ne!(code, 0, "{said}");
    assert!(said["detail"].as_str().unwrap().contains(words), "`{words}`: {said}");
}

fn copy_folder(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let (from, to) = entry.map(|e| (e.path(), to.join(e.file_name()))).unwrap();
        match from.is_dir() {
            true => copy_folder(&from, &to),
            false => drop(std::fs::copy(&from, &to).unwrap()),
        }
    }
}

/// The backup `from` with other files in it, written to `to`: what whoever may open it
/// can make of it, and pass on.
fn resealed(from: &str, to: &str, key: &str, mut edit: impl FnMut(&str, &mut Vec<u8>)) {
    let bytes = std::fs::read(from).unwrap();
    let ends = bytes.iter().enumerate().filter(|(_, byte)| **byte == b'\n');
    let ends: Vec<usize> = ends.map(|(at, _)| at + 1).take(2).collect();
    let (head, sealed) = bytes.split_at(ends[1]);
    let wrapped = serde_json::from_slice(&head[ends[0]..]).unwrap();
    let secret = node::config::read_key(Path::new(key)).unwrap();
    let key = vault::grant_key::unwrap(&secret, b"interlock/backup/v2", b"", &wrapped).unwrap();
    let opened = OpeningReader::new(&key, head, SliceSource(sealed)).unwrap();
    let header = StreamHeader::generate(aws_lc_rs::rand::fill).unwrap();
    let made = SealingWriter::new(&key, header, head, Vec::new()).unwrap();
    let (mut opened, mut made) = (tar::Archive::new(opened), tar::Builder::new(made));
    for file in opened.entries().unwrap() {
        let mut file = file.unwrap();
        let path = file.path().unwrap().to_str().unwrap().to_owned();
        let mut content = Vec::new();
        file.read_to_end(&mut content).unwrap();
        edit(&path, &mut content);
        let mut header = tar::Header::new_gnu();
        header.set_size(content.len() as u64);
        header.set_mode(0o600);
        made.append_data(&mut header, &path, content.as_slice()).unwrap();
    }
    let sealed = made.into_inner().unwrap().finish().unwrap();
    std::fs::write(to, [head, &sealed].concat()).unwrap();
}

/// Changes JSON as it stands in a file.
fn edited(content: &mut Vec<u8>, edit: impl FnOnce(&mut Value)) {
    let mut value = serde_json::from_slice(content).unwrap();
    edit(&mut value);
    *content = serde_json::to_vec(&value).unwrap();
}

fn serve(folder: &Path) -> Child {
    let mut command = Command::new(env!("CARGO_BIN_EXE_interlock"));
    let command = command.arg("--json").arg("serve").arg(folder).stdin(Stdio::null());
    command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap()
}

/// Ends a plant's site as a power cut does, and runs another folder in its place.
fn lose(plant: &mut Plant) {
    plant.site.kill().unwrap();
    plant.site.wait().unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_site_comes_back_from_its_backup_and_an_old_one_never_forks() {
    let mut house = House::open().await;
    let parcel = house.delivered().await;
    house.grant(&parcel).await;
    let dir = house.plant.dir.path().to_owned();
    let at = |name: &str| dir.join(name).display().to_string();
    let (key, backup, kept) = (at("backup.key"), at("site.backup"), at("kept"));
    let (site, auditor) = (at("site"), at("auditor"));
    let (first, second) = (at("first"), at("second"));
    let public = done(&["backup", "key", &key])["public"].as_str().unwrap().to_owned();
    let public = public.as_str();

    // The ledger grows while the backup is taken.
    let (node, client) = house.plant.machine("auditor");
    let writing = tokio::spawn(async move {
        for nth in 0..300 {
            let body = hold(&format!("number {nth}"));
            let entry = node.sign(&body, now(), fresh_nonce().unwrap()).unwrap();
            client.submit(&entry).await.unwrap();
        }
    });
    let take = ["backup", &site, &backup, "--to", public].map(str::to_owned);
    let taken = tokio::task::spawn_blocking(move || done(&take)).await.unwrap();
    assert_eq!(taken["taken"]["findings"], serde_json::json!([]), "{taken}");
    refused(&["backup", &site, &backup, "--to", public], "never replaces");
    writing.await.unwrap();
    let last = house.plant.state_witnessed("auditor", &hold("the last")).await.index;
    done(&["--dir", &auditor, "ledger", "copy", &kept]);

    // Nothing of the site is in it in clear, and only the right key opens it.
    let bytes = std::fs::read(&backup).unwrap();
    let log_key = std::fs::read(Path::new(&site).join("log.key")).unwrap();
    assert!(!bytes.windows(16).any(|part| part == &log_key[..16]));
    let other = at("other.key");
    done(&["backup", "key", &other]);
    refused(&["backup", "verify", &backup, "--key", &other], "another key");
    let damaged = at("damaged");
    for (name, edit) in [
        ("changed", &(|b: &mut Vec<u8>| b[5000] ^= 1) as &dyn Fn(&mut _)),
        ("cut", &|b: &mut Vec<u8>| b.truncate(b.len() - 40)),
        ("extended", &|b: &mut Vec<u8>| b.push(0)),
        ("of another head", &|b: &mut Vec<u8>| b[40] ^= 1),
    ] {
        let mut copy = bytes.clone();
        edit(&mut copy);
        std::fs::write(&damaged, &copy).unwrap();
        assert_ne!(call(&["backup", "verify", &damaged, "--key", &key]).0, 0, "{name}");
        assert_ne!(call(&["restore", &damaged, &first, "--key", &key]).0, 0, "{name}");
        assert!(!Path::new(&first).exists(), "{name}: half a restore has no name");
    }
    assert_eq!(done(&["backup", "verify", &backup, "--key", &key])["site"], "plant");

    // Anybody can seal to a public key: what opens need not be the site's.
    let (forged, copied) = (at("forged"), at("copied"));
    copy_folder(Path::new(&site), Path::new(&copied));
    std::fs::remove_file(Path::new(&copied).join("sign.key")).unwrap();
    std::fs::copy(at("operator/sign.key"), Path::new(&copied).join("sign.key")).unwrap();
    done(&["backup", &copied, &forged, "--to", public]);
    done(&["backup", "verify", &forged, "--key", &key]);
    refused(&["restore", &forged, &first, "--key", &key], "another made it");
    let foreign = at("elsewhere");
    done(&["init", &foreign, "--no-console"]);
    let foreign = format!("{foreign}/anchors.json");
    let by_others = ["restore", &backup, &first, "--key", &key, "--anchors", &foreign];
    refused(&by_others, "the anchors name");
    assert!(!Path::new(&first).exists());

    lose(&mut house.plant);
    refused(&["restore", &backup, &site, "--key", &key], "not empty");
    for folder in [&first, &second] {
        let anchors = at("anchors.json");
        let restored = done(&["restore", &backup, folder, "--key", &key, "--anchors", &anchors]);
        assert_eq!(
            (&restored["recordings"], &restored["findings"]),
            (&1.into(), &Value::Array(vec![]))
        );
        assert_eq!(restored["entries"], taken["taken"]["entries"]);
    }
    for secret in ["log.key", "sign.key", "data/keys/master.key"] {
        let mode = std::fs::metadata(Path::new(&first).join(secret)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{secret}");
    }

    // It is behind the witness: it says so, takes nothing and ends.
    let anchors = at("auditor/anchors.json");
    let ledger = format!("{first}/data/ledger");
    let size = || done(&["ledger", "check", &ledger, "--anchors", &anchors])["entries"].clone();
    let before = size();
    let ended = tokio::task::spawn_blocking({
        let site = serve(Path::new(&first));
        move || site.wait_with_output().unwrap()
    });
    let ended = tokio::time::timeout(Duration::from_secs(60), ended).await.unwrap().unwrap();
    let said = String::from_utf8_lossy(&ended.stdout).into_owned();
    assert_eq!(ended.status.code(), Some(4), "{said}");
    assert!(said.contains("old copy") && said.contains("ledger extend"), "{said}");
    assert_eq!(size(), before, "an entry was taken");

    // From the auditor's copy, and from the old disk.
    let all = Value::from(last + 1);
    assert_eq!(done(&["ledger", "extend", &first, "--from", &kept])["entries"], all);
    let old = format!("{site}/data/ledger");
    assert_eq!(done(&["ledger", "extend", &second, "--from", &old])["entries"], all);
    refused(&["ledger", "extend", &first, "--from", &kept], "nothing to fetch");

    house.plant.site = serve(Path::new(&first));
    house.plant.ready().await;
    assert_eq!(house.plant.state_witnessed("auditor", &hold("after")).await.index, last + 1);
    house.order("cell-1").await;
    let analyst = house.plant.machine("analyst").1;
    let block = format!("/ipfs/{}?format=raw", parcel.manifest.root_cid);
    assert_eq!(analyst.bytes(&block, 100).await.unwrap(), b"one", "read under the old grant");
    done(&["--dir", &auditor, "ledger", "copy", &kept]);
    done(&["--dir", &auditor, "audit", "replay"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_site_of_many_files_comes_back_and_no_list_but_its_own_is_believed() {
    const FILES: u64 = 1100;
    let plant = Plant::start(&[]).await;
    let dir = plant.dir.path().to_owned();
    let at = |name: &str| dir.join(name).display().to_string();
    let (site, key, backup, back) = (at("site"), at("key"), at("backup"), at("back"));
    let client = &plant.machine("operator").1;
    let blobs = (0..FILES).map(|nth| client.put_blob(format!("file {nth}").into_bytes()));
    let blobs = futures::stream::iter(blobs).buffer_unordered(16);
    let blobs: Vec<Digest> = blobs.try_collect().await.unwrap();
    let public = done(&["backup", "key", &key])["public"].as_str().unwrap().to_owned();
    let taken = done(&["backup", &site, &backup, "--to", &public]);
    assert!(taken["taken"]["files"].as_u64().unwrap() > FILES, "{taken}");
    let verify = |backup: &str, words: &str| {
        refused(&["backup", "verify", backup, "--key", &key], words);
    };

    let edited_backup = at("edited");
    let config = |content: &mut Vec<u8>| content.extend(b"# changed\n");
    resealed(&backup, &edited_backup, &key, |path, content| {
        if path == "site/interlock.toml" {
            config(content);
        }
    });
    verify(&edited_backup, "other files than its list");
    // With the list that goes with it, and at last with a manifest that names this list,
    // which opens and is nobody's.
    let mut list = sha256(b"");
    for signed_anew in [false, true] {
        let (mut bytes, mut digest) = (0, sha256(b""));
        resealed(&backup, &edited_backup, &key, |path, content| match path {
            "site/interlock.toml" => {
                config(content);
                (bytes, digest) = (content.len(), sha256(content));
            }
            "files.json" => {
                edited(content, |rows| {
                    let mut rows = rows.as_array_mut().unwrap().iter_mut();
                    let row = rows.find(|row| row["path"] == "interlock.toml").unwrap();
                    (row["bytes"], row["sha256"]) = (json!(bytes), json!(digest));
                });
                list = sha256(content);
            }
            "manifest.json" if signed_anew => {
                let mut manifest: Value = serde_json::from_slice(content).unwrap();
                manifest["claim"]["files"]["sha256"] = json!(list);
                *content = to_canonical(&manifest).unwrap();
            }
            _ => {}
        });
        match signed_anew {
            false => verify(&edited_backup, "not the one that its manifest names"),
            true => _ = done(&["backup", "verify", &edited_backup, "--key", &key]),
        }
    }
    refused(&["restore", &edited_backup, &back, "--key", &key], "another made it");
    assert!(!Path::new(&back).exists());

    // A backup of before says that it is one.
    let mut old = std::fs::read(&backup).unwrap();
    let version = b"interlock-backup/v".len();
    old[version] = b'1';
    std::fs::write(&edited_backup, old).unwrap();
    verify(&edited_backup, "format v1");

    let restored = done(&["restore", &backup, &back, "--key", &key]);
    assert_eq!(restored["findings"], json!([]));
    assert_eq!(restored["files"], taken["taken"]["files"]);
    for blob in blobs {
        let kept = std::fs::read(Path::new(&back).join(format!("data/blobs/{blob}"))).unwrap();
        assert_eq!(sha256(&kept), blob);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_entry_is_taken_before_the_witnesses_have_spoken() {
    let mut plant = Plant::start(&[]).await;
    let last = plant.state_witnessed("auditor", &hold("before")).await.index;
    lose(&mut plant);
    // The witness's certificate is at another address now.
    let path = plant.folder("site").join("interlock.toml");
    let known = std::fs::read_to_string(&path).unwrap();
    let config = node::config::read_config(&path).unwrap();
    let witness = &config.server.unwrap().witnesses[0].url;
    std::fs::write(&path, known.replace(witness, "https://127.0.0.1:9")).unwrap();
    plant.site = serve(&plant.folder("site"));
    let (node, client) = plant.machine("auditor");
    let live = async {
        while client.bytes("/livez", 100).await.is_err() {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(60), live).await.unwrap();
    let entry = node.sign(&hold("early"), now(), fresh_nonce().unwrap()).unwrap();
    let post = client.request(Method::POST, "/api/v1/entries").body(entry.bytes().unwrap());
    let answer = post.header("content-type", "application/json").send().await.unwrap();
    assert_eq!(answer.status(), StatusCode::SERVICE_UNAVAILABLE);
    assert!(answer.text().await.unwrap().contains("witnesses"));
    let unready = client.request(Method::GET, "/readyz").send().await.unwrap();
    assert_eq!(unready.status(), StatusCode::SERVICE_UNAVAILABLE);

    lose(&mut plant);
    std::fs::write(&path, known).unwrap();
    plant.site = serve(&plant.folder("site"));
    plant.ready().await;
    assert_eq!(plant.state_witnessed("auditor", &hold("after")).await.index, last + 1);
}
