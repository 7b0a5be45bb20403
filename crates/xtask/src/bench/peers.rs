//! What is measured beside ours: the disk alone, PostgreSQL, age or OpenSSL.

use crate::tools::has;
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
    Ok(super::median(&times))
}

/// Writes so many megabytes that do not compress.
pub fn fill(path: &Path, megabytes: u64) -> Result<()> {
    let mut random = File::open("/dev/urandom")?.take(megabytes * 1_000_000);
    let mut file = File::create(path)?;
    std::io::copy(&mut random, &mut file)?;
    Ok(file.sync_all()?)
}

/// Encrypts a file with what is installed: the tool, and megabytes a core-second.
pub fn encrypt_mb_per_core_s(file: &Path, megabytes: u64) -> Result<(&'static str, f64)> {
    let sealed = file.with_extension("sealed");
    let (name, script) = match has("age") && has("age-keygen") {
        true => (
            "age (no addressing)",
            r#"r=$(age-keygen 2>/dev/null | sed -n 's/^# public key: //p'); age -r "$r" -o "$2" "$1""#,
        ),
        false => (
            "openssl enc aes-256-ctr, then dgst -sha256",
            r#"openssl enc -aes-256-ctr -pbkdf2 -pass pass:bench -in "$1" -out "$2" && openssl dgst -sha256 "$2" >/dev/null"#,
        ),
    };
    let before = children_cpu()?;
    let status = Command::new("sh").args(["-c", script, "sh"]).arg(file).arg(&sealed).status()?;
    let used = children_cpu()? - before;
    if !status.success() {
        bail!("{name}: {status}");
    }
    fs::remove_file(sealed)?;
    // Linux counts in hundredths.
    Ok((name, megabytes as f64 / used.max(0.01)))
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
