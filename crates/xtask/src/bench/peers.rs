//! What is measured beside ours: the disk alone, PostgreSQL, age or OpenSSL, restic and
//! ipfs-car.

use crate::tools::{has, has_command, run, target};
use anyhow::{Context, Result, bail};
use std::{
    fs::{self, File, OpenOptions},
    io::{Read, Write},
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::Instant,
};

/// Milliseconds of writing 4 KiB and syncing them, the median of nine.
pub fn sync_ms(dir: &Path) -> Result<f64> {
    let path = dir.join("sync-probe");
    let mut file = OpenOptions::new().create(true).append(true).open(&path)?;
    let mut times = Vec::new();
    for _ in 0..9 {
        let began = Instant::now();
        file.write_all(&[0x5a; 4096])?;
        file.sync_data()?;
        times.push(began.elapsed().as_secs_f64() * 1000.0);
    }
    fs::remove_file(path)?;
    Ok(super::report::median(&times))
}

/// Writes so many megabytes that do not compress.
pub fn fill(path: &Path, megabytes: u64) -> Result<()> {
    let mut random = File::open("/dev/urandom")?.take(megabytes * 1_000_000);
    let mut file = File::create(path)?;
    std::io::copy(&mut random, &mut file)?;
    Ok(file.sync_all()?)
}

/// A program that encrypts or addresses a file, as its users call it.
pub struct Encryptor {
    /// What it is, and what it does not do.
    pub name: &'static str,
    /// A shell's script of input and output, which is a folder.
    script: &'static str,
}

const AGE: Encryptor = Encryptor {
    name: "age (no addressing, no sync)",
    script: r#"r=$(age-keygen 2>/dev/null | sed -n 's/^# public key: //p'); age -r "$r" -o "$2/age" "$1""#,
};
const OPENSSL: Encryptor = Encryptor {
    name: "openssl enc aes-256-ctr, then dgst -sha256",
    script: r#"openssl enc -aes-256-ctr -pbkdf2 -pass pass:bench -in "$1" -out "$2/ssl" && openssl dgst -sha256 "$2/ssl" >/dev/null"#,
};
const RESTIC: Encryptor = Encryptor {
    name: "restic (encrypts, addresses by content)",
    script: r#"export RESTIC_PASSWORD=bench; restic -q --no-cache -r "$2/restic" init >/dev/null && restic -q --no-cache --compression off -r "$2/restic" backup "$1""#,
};
const IPFS_CAR: Encryptor = Encryptor {
    name: "ipfs-car (no encryption, no sync)",
    script: r#""$3/node_modules/.bin/ipfs-car" pack "$1" --output "$2/car" >/dev/null"#,
};
/// The version of npm's ipfs-car.
const IPFS_CAR_VERSION: &str = "3.1.0";

impl Encryptor {
    /// Those that are here; npm's is fetched into `target/peers`.
    pub fn installed() -> Vec<Self> {
        let mut found = vec![if has("age") && has("age-keygen") { AGE } else { OPENSSL }];
        if has_command("restic") {
            found.push(RESTIC);
        }
        match ipfs_car() {
            Ok(()) => found.push(IPFS_CAR),
            Err(why) => eprintln!("   no ipfs-car: {why:#}"),
        }
        found
    }

    /// Megabytes a core-second, user and system.
    pub fn mb_per_core_s(&self, file: &Path, megabytes: u64) -> Result<f64> {
        let out = file.with_extension("peer");
        fs::create_dir_all(&out)?;
        let before = children_cpu()?;
        let mut command = Command::new("sh");
        command.args(["-c", self.script, "sh"]).arg(file).arg(&out).arg(ipfs_car_dir());
        let output = command.output()?;
        let used = children_cpu()? - before;
        fs::remove_dir_all(out)?;
        if !output.status.success() {
            bail!("{}: {}", self.name, String::from_utf8_lossy(&output.stderr));
        }
        // Linux counts in hundredths.
        Ok(megabytes as f64 / used.max(0.01))
    }
}

fn ipfs_car_dir() -> PathBuf {
    let dir = target().join("peers/ipfs-car");
    std::path::absolute(&dir).unwrap_or(dir)
}

fn ipfs_car() -> Result<()> {
    let dir = ipfs_car_dir();
    if dir.join("node_modules/.bin/ipfs-car").exists() {
        return Ok(());
    }
    fs::create_dir_all(&dir)?;
    let wanted = format!("ipfs-car@{IPFS_CAR_VERSION}");
    let mut npm = Command::new("npm");
    npm.args(["install", "--no-audit", "--no-fund", "--silent", "--prefix"]);
    run(npm.arg(&dir).arg(wanted))
}

/// CPU seconds of all children that have ended.
fn children_cpu() -> Result<f64> {
    let stat = fs::read_to_string("/proc/self/stat")?;
    let fields = stat.rsplit(')').next().unwrap_or_default();
    let mut ticks = fields.split_whitespace().skip(13).map(str::parse::<f64>);
    let mut next = || ticks.next().context("short /proc/self/stat");
    Ok((next()?? + next()??) / 100.0)
}

/// A PostgreSQL server of its own, durable as it comes, stopped when dropped.
pub struct Postgres {
    bin: PathBuf,
    dir: PathBuf,
}

impl Postgres {
    /// Starts one, or says why there is none.
    pub fn start() -> Result<Self> {
        let bin = newest_server().context("PostgreSQL is not installed (Debian: postgresql)")?;
        let dir = std::env::temp_dir().join(format!("interlock-bench-pg-{}", std::process::id()));
        fs::create_dir_all(&dir)?;
        let server = Self { bin, dir };
        if as_root() {
            // The server refuses to run as root.
            server.check(Command::new("chown").arg("postgres").arg(&server.dir))?;
        }
        let data = server.dir.join("data").display().to_string();
        let socket = server.dir.display().to_string();
        server.check(server.call("initdb").args(["-A", "trust", "-U", "bench", "-D", &data]))?;
        let options = format!("-k {socket} -c listen_addresses='' -c max_connections=100");
        let log = server.dir.join("log").display().to_string();
        server.check(
            server.call("pg_ctl").args(["-w", "-D", &data, "-l", &log, "-o", &options, "start"]),
        )?;
        let table = "create sequence n; create table entry (id bytea primary key, bytes bytea)";
        server.check(
            server.call("psql").args(["-q", "-h", &socket, "-U", "bench", "-c", table, "postgres"]),
        )?;
        Ok(server)
    }

    /// Single inserts a second of so many bytes under a unique key, each committed
    /// durably before its client goes on.
    pub fn inserts_per_s(&mut self, bytes: u64, seconds: u64) -> Result<f64> {
        let script = self.dir.join("insert.sql");
        let hex = "5a".repeat(usize::try_from(bytes)?);
        let text =
            format!("insert into entry values (sha256(nextval('n')::text::bytea), '\\x{hex}');\n");
        fs::write(&script, text)?;
        let socket = self.dir.display().to_string();
        let output = self
            .call("pgbench")
            .args(["-n", "-c", "64", "-j", "2", "-h", &socket, "-U", "bench", "-T"])
            .arg(seconds.to_string())
            .arg("-f")
            .arg(&script)
            .arg("postgres")
            .output()?;
        let text = String::from_utf8_lossy(&output.stdout);
        let rate = text.lines().find_map(|l| l.strip_prefix("tps = "));
        let rate = rate.and_then(|r| r.split_whitespace().next());
        let rate = rate.with_context(|| {
            format!("pgbench: {text} {}", String::from_utf8_lossy(&output.stderr))
        })?;
        Ok(rate.parse()?)
    }

    /// One of the server's programs, as a user that it accepts.
    fn call(&self, program: &str) -> Command {
        let path = self.bin.join(program);
        let mut command = match as_root() {
            true => {
                let mut command = Command::new("runuser");
                command.args(["-u", "postgres", "--"]).arg(path);
                command
            }
            false => Command::new(path),
        };
        command.current_dir(&self.dir).stdin(Stdio::null());
        command
    }

    fn check(&self, command: &mut Command) -> Result<()> {
        let shown = format!("{:?}", command.get_program());
        let output = command.stdout(Stdio::null()).stderr(Stdio::piped()).output()?;
        if !output.status.success() {
            bail!("{shown}: {}", String::from_utf8_lossy(&output.stderr).trim());
        }
        Ok(())
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        let data = self.dir.join("data");
        let mut stop = self.call("pg_ctl");
        let _ = stop.args(["-m", "immediate", "-D"]).arg(data).arg("stop").output();
        let _ = fs::remove_dir_all(&self.dir);
    }
}

fn as_root() -> bool {
    Command::new("id").arg("-u").output().is_ok_and(|o| o.stdout == b"0\n")
}

/// Debian keeps each version's programs apart, off the path.
fn newest_server() -> Option<PathBuf> {
    let mut found: Vec<PathBuf> = fs::read_dir("/usr/lib/postgresql")
        .ok()?
        .flatten()
        .map(|entry| entry.path().join("bin"))
        .filter(|bin| bin.join("initdb").exists() && bin.join("pgbench").exists())
        .collect();
    found.sort();
    found.pop()
}
