//! Where a release is built, and what its tools see of who builds it.

use anyhow::{Context, Result, bail};
use std::{
    ffi::OsString,
    fs::{self, DirBuilder},
    os::unix::fs::DirBuilderExt,
    path::{Path, PathBuf},
    process::Command,
};

/// What the tools need of the caller's environment: where they, their stores and room
/// for their files are, and the way to the registries. Lock files say what comes back.
const PASSED: [&str; 20] = [
    "PATH",
    "HOME",
    "TMPDIR",
    "CARGO_HOME",
    "RUSTUP_HOME",
    "CARGO_HTTP_CAINFO",
    "CARGO_HTTP_PROXY",
    "NODE_EXTRA_CA_CERTS",
    "SSL_CERT_FILE",
    "npm_config_cafile",
    "npm_config_https_proxy",
    "npm_config_proxy",
    "all_proxy",
    "http_proxy",
    "https_proxy",
    "no_proxy",
    "ALL_PROXY",
    "HTTP_PROXY",
    "HTTPS_PROXY",
    "NO_PROXY",
];

/// Programs that see nothing else of the caller's environment: a profile, a wrapper or
/// another compiler would make other programs.
pub struct Tools(Vec<(OsString, OsString)>);

impl Tools {
    /// With what is needed of an environment.
    pub fn of(caller: impl IntoIterator<Item = (OsString, OsString)>) -> Self {
        let passed = |name: &OsString| PASSED.iter().any(|p| name == p);
        Self(caller.into_iter().filter(|(name, _)| passed(name)).collect())
    }

    /// A program, found on the path.
    pub fn command(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        command.env_clear().envs(self.0.iter().map(|(name, value)| (name, value)));
        command
    }

    /// Where cargo keeps what it downloads.
    pub fn cargo_home(&self) -> Option<PathBuf> {
        let get = |wanted: &str| self.0.iter().find(|(name, _)| name == wanted);
        let own = get("CARGO_HOME").map(|(_, home)| PathBuf::from(home));
        own.or_else(|| get("HOME").map(|(_, home)| Path::new(home).join(".cargo")))
    }
}

/// A folder of the system's temporary ones; it is gone when this is dropped.
pub struct Workshop {
    /// The folder.
    pub dir: PathBuf,
    /// Whether it stays for a look.
    pub keep: bool,
}

impl Workshop {
    /// Makes it.
    ///
    /// # Errors
    /// It cannot be made, or cargo would read settings there.
    pub fn open(tools: &Tools) -> Result<Self> {
        let temporary = std::env::temp_dir().canonicalize()?;
        alone(&temporary, tools.cargo_home().as_deref())?;
        // Nobody else can have put something into a folder that was not there.
        let mut made = Err(std::io::ErrorKind::AlreadyExists.into());
        for n in 0..100 {
            let dir = temporary.join(format!("interlock-release-{}-{n}", std::process::id()));
            made = DirBuilder::new().mode(0o700).create(&dir).map(|()| dir);
            if made.is_ok() {
                break;
            }
        }
        let dir = made.with_context(|| format!("a folder in `{}`", temporary.display()))?;
        Ok(Self { dir, keep: false })
    }
}

impl Drop for Workshop {
    fn drop(&mut self) {
        if !self.keep
            && let Err(error) = fs::remove_dir_all(&self.dir)
        {
            eprintln!("   `{}` stays: {error}", self.dir.display());
        }
    }
}

/// Fails when cargo, started in a folder, would merge settings of a folder above it,
/// as the repository's. Those of its home, the machine's, it reads everywhere.
fn alone(dir: &Path, cargo_home: Option<&Path>) -> Result<()> {
    let cargo_home = cargo_home.and_then(|home| home.canonicalize().ok());
    for settings in dir.ancestors().map(|above| above.join(".cargo")) {
        let names = ["config", "config.toml"];
        let own = cargo_home.as_ref() == Some(&settings);
        if !own && let Some(found) = names.map(|n| settings.join(n)).iter().find(|p| p.exists()) {
            bail!(
                "cargo would read `{}` in `{}`: set TMPDIR to a folder elsewhere",
                found.display(),
                dir.display()
            );
        }
    }
    Ok(())
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing)]
mod tests {
    use super::*;

    #[test]
    fn a_tool_sees_what_it_is_passed_alone() {
        let mut caller: Vec<(OsString, OsString)> = std::env::vars_os().collect();
        caller.push(("RUSTC_WRAPPER".into(), "wrap".into()));
        let output = Tools::of(caller).command("env").output().unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        let names: Vec<&str> = text.lines().filter_map(|l| Some(l.split_once('=')?.0)).collect();
        assert!(names.contains(&"PATH"), "{names:?}");
        // Cargo sets a dozen others for this test.
        assert!(names.iter().all(|name| PASSED.contains(name)), "{names:?}");
    }

    #[test]
    fn a_workshop_is_elsewhere_and_gone_afterwards() {
        let tools = Tools::of(std::env::vars_os());
        let (one, mut two) = (Workshop::open(&tools).unwrap(), Workshop::open(&tools).unwrap());
        assert!(!one.dir.starts_with(crate::tools::root()) && one.dir != two.dir);
        two.keep = true;
        let dirs = [one.dir.clone(), two.dir.clone()];
        drop((one, two));
        assert_eq!(dirs.each_ref().map(|dir| dir.exists()), [false, true]);
        fs::remove_dir(&dirs[1]).unwrap();
    }

    #[test]
    fn no_settings_lie_above() {
        let workshop = Workshop::open(&Tools::of(std::env::vars_os())).unwrap();
        let inner = workshop.dir.join("target/build");
        fs::create_dir_all(&inner).unwrap();
        alone(&inner, None).unwrap();
        let settings = workshop.dir.join(".cargo");
        fs::create_dir(&settings).unwrap();
        fs::write(settings.join("config.toml"), "[profile.release]\nopt-level = 0\n").unwrap();
        assert!(alone(&inner, None).is_err());
        alone(&inner, Some(&settings)).unwrap();
    }
}
