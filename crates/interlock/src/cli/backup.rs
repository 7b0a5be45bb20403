//! `backup` and `restore`.

use super::context::{Context, Failure};
use crate::backup::{
    Progress,
    restore::{self, Restored},
    take,
};
use base::Digest;
use node::{
    config::{read_anchors, read_key},
    fresh_seed,
};
use std::path::{Path, PathBuf};
use vault::grant_key::public_of;

#[derive(clap::Args)]
#[command(args_conflicts_with_subcommands = true)]
pub struct Args {
    #[command(subcommand)]
    verb: Option<Verb>,
    /// The site's folder.
    #[arg(required = true)]
    site: Option<PathBuf>,
    /// The backup to write.
    #[arg(required = true)]
    out: Option<PathBuf>,
    /// The public key that it is sealed to, as `backup key` printed it.
    #[arg(long, value_name = "KEY", env = "INTERLOCK_BACKUP_KEY", required = true)]
    to: Option<Digest>,
}

#[derive(clap::Subcommand)]
enum Verb {
    /// Make a key pair: the secret half in a new file, to be kept away from the site;
    /// the public half is printed.
    Key {
        /// The file of the secret half.
        file: PathBuf,
    },
    /// Read all of a backup and hold it against its manifest, without writing anything.
    /// Who made it, only `restore` finds out.
    Verify {
        /// The backup.
        backup: PathBuf,
        /// The file with the secret half of its key.
        #[arg(long, value_name = "FILE")]
        key: PathBuf,
    },
}

#[derive(clap::Args)]
pub struct RestoreArgs {
    /// The backup.
    backup: PathBuf,
    /// The site's folder to be: empty, or not there.
    folder: PathBuf,
    /// The file with the secret half of the backup's key.
    #[arg(long, value_name = "FILE")]
    key: PathBuf,
    /// The plant's anchors.json, got by another way: a backup of any other plant is
    /// refused. Without it the backup's own word counts for which plant it is of.
    #[arg(long, value_name = "FILE")]
    anchors: Option<PathBuf>,
}

pub async fn run(context: &Context, args: Args) -> Result<(), Failure> {
    match (args.verb, args.site, args.out, args.to) {
        (Some(Verb::Key { file }), ..) => make_key(context, &file),
        (Some(Verb::Verify { backup, key }), ..) => {
            let secret = read_key(&key)?;
            let restored = apart(context.json, Failure::Broken, move |say| {
                restore::verify(&backup, &secret, Progress::new("read", say))
            });
            shown(context, &restored.await?, "is whole")
        }
        (None, Some(site), Some(out), Some(to)) => {
            let file = out.clone();
            let taken = apart(context.json, Failure::Failed, move |say| {
                take::take(&site, &file, &to.0, Progress::new("copied", say))
            });
            let taken = taken.await?;
            let value = serde_json::json!({ "backup": out, "taken": taken });
            context.print(&value, |_| {
                let (entries, files, bytes) = (taken.entries, taken.files, taken.bytes);
                format!("`{}`: {entries} entries, {files} files, {bytes} bytes", out.display())
            })?;
            damage(context, &taken.findings)
        }
        _ => Err(Failure::Failed("which site, to which file, for which key?".into())),
    }
}

pub async fn restore(context: &Context, args: RestoreArgs) -> Result<(), Failure> {
    let secret = read_key(&args.key)?;
    let anchors = args.anchors.as_deref().map(read_anchors).transpose()?;
    let (backup, folder) = (args.backup, args.folder.clone());
    let restored = apart(context.json, Failure::Broken, move |say| {
        restore::restore(&backup, &secret, anchors, &folder, Progress::new("wrote", say))
    });
    let restored = restored.await?;
    shown(context, &restored, &format!("is restored in `{}`", args.folder.display()))
}

fn make_key(context: &Context, file: &Path) -> Result<(), Failure> {
    let seed = fresh_seed()?;
    let public = public_of(&seed).map_err(|e| Failure::Failed(e.to_string()))?;
    let text = zeroize::Zeroizing::new(Digest(*seed).to_string());
    transport::write_secret(file, text.as_bytes())?;
    let value = serde_json::json!({ "public": Digest(public), "secret": file });
    context.print(&value, |_| {
        format!(
            "{}\n  back up with `interlock backup SITE OUT --to {}`\n  `{}` opens the backups: \
             keep it apart from the site, and more than once",
            Digest(public),
            Digest(public),
            file.display()
        )
    })
}

fn shown(context: &Context, restored: &Restored, what: &str) -> Result<(), Failure> {
    context.print(restored, |r| {
        let (site, entries, files) = (&r.site, r.entries, r.files);
        format!(
            "site `{site}` as of {}: {entries} entries, {files} files; it {what}\n  genesis {}",
            r.at, r.genesis
        )
    })?;
    damage(context, &restored.findings)
}

/// What is damaged does not keep the rest from being saved, and is said.
fn damage(context: &Context, findings: &[String]) -> Result<(), Failure> {
    match (findings.is_empty(), context.json) {
        (true, _) => Ok(()),
        (false, true) => Err(Failure::Shown),
        (false, false) => Err(Failure::Broken(findings.join("\n  "))),
    }
}

/// Runs blocking work apart; its words go to people only.
async fn apart<T: Send + 'static>(
    json: bool,
    fails: fn(String) -> Failure,
    work: impl FnOnce(&mut dyn FnMut(&str)) -> anyhow::Result<T> + Send + 'static,
) -> Result<T, Failure> {
    let say = move |words: &str| {
        if !json {
            eprintln!("{words}");
        }
    };
    let done = tokio::task::spawn_blocking(move || {
        let mut say = say;
        work(&mut say)
    });
    done.await?.map_err(|e| fails(format!("{e:#}")))
}
