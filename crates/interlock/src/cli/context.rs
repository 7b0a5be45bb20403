//! What every command has: the caller's folder, the output form, and how it fails.

use super::proven::resolve;
use crate::site::legible::is_hidden;
use base::{Digest, Id, Refusal};
use node::{Client, Node, fresh_nonce, now};
use plant::Body;
use serde::{Serialize, de::DeserializeOwned};
use std::{collections::BTreeMap, path::PathBuf, process::ExitCode};
use transport::client::AnswerError;

/// The caller's surroundings.
pub struct Context {
    /// `--dir`.
    pub dir: Option<PathBuf>,
    /// `--json`.
    pub json: bool,
}

/// Why a command did not do what was asked.
pub enum Failure {
    /// A rule refused it: exit code 3.
    Refused(Box<Refusal>),
    /// A proof does not hold: exit code 4.
    Broken(String),
    /// A proof does not hold, and the command's answer says which: exit code 4.
    Shown,
    /// Anything else: exit code 1.
    Failed(String),
}

impl Failure {
    /// Says it and returns the exit code.
    pub fn report(&self, json: bool) -> ExitCode {
        let (code, kind, text) = match self {
            Self::Refused(refusal) => (3, "refused", refusal.to_string()),
            Self::Broken(text) => (4, "broken", text.clone()),
            Self::Shown => return ExitCode::from(4),
            Self::Failed(text) => (1, "failed", text.clone()),
        };
        if json {
            let mut value = serde_json::json!({ "error": kind, "detail": text });
            if let (Self::Refused(refusal), Some(map)) = (self, value.as_object_mut()) {
                map.insert("refusal".into(), serde_json::to_value(refusal).unwrap_or_default());
            }
            println!("{value}");
        } else if let Self::Refused(r) = self {
            eprintln!("refused by rule `{}`: {}", r.rule, r.reason);
            eprintln!("  asked: {} for {}", r.who, r.what);
            eprintln!("  accepted would be: {}", r.accepted);
        } else {
            eprintln!("{kind}: {text}");
        }
        ExitCode::from(code)
    }
}

impl From<AnswerError> for Failure {
    fn from(error: AnswerError) -> Self {
        match &error {
            AnswerError::Problem(problem) => match problem.refusal() {
                Some(refusal) => Self::Refused(Box::new(refusal)),
                None => Self::Failed(problem.detail.clone()),
            },
            _ => Self::Failed(error.to_string()),
        }
    }
}

impl From<node::GrantedError> for Failure {
    fn from(error: node::GrantedError) -> Self {
        match error {
            node::GrantedError::Site(answer) => answer.into(),
            node::GrantedError::Unproven(_) => Self::Broken(error.to_string()),
            node::GrantedError::Local(text) => Self::Failed(text),
        }
    }
}

impl From<anyhow::Error> for Failure {
    fn from(error: anyhow::Error) -> Self {
        Self::Failed(format!("{error:#}"))
    }
}

macro_rules! failed_from {
    ($($kind:ty),+ $(,)?) => {$(
        impl From<$kind> for Failure {
            fn from(error: $kind) -> Self {
                Self::Failed(error.to_string())
            }
        }
    )+};
}
failed_from!(
    std::io::Error,
    node::NodeError,
    node::init::InitError,
    base::CanonicalError,
    base::ParseDigestError,
    base::ParseIdError,
    serde_json::Error,
    aws_lc_rs::error::Unspecified,
    tokio::task::JoinError,
);

impl Context {
    /// The caller's loaded folder.
    pub fn node(&self) -> Result<Node, Failure> {
        let dir = self.dir.as_ref().ok_or_else(|| {
            let text = "whose folder? give --dir DIR or set INTERLOCK_DIR, e.g. to PLANT/alice";
            Failure::Failed(text.into())
        })?;
        Ok(Node::load(dir)?)
    }

    /// The caller's folder and a client to the site.
    pub fn client(&self) -> Result<(Node, Client), Failure> {
        let node = self.node()?;
        let client = Client::of(&node)?;
        Ok((node, client))
    }

    /// Prints a value as JSON, or as `text` renders it.
    pub fn print<T: Serialize>(
        &self,
        value: &T,
        text: impl FnOnce(&T) -> String,
    ) -> Result<(), Failure> {
        let rendered = if self.json { serde_json::to_string_pretty(value)? } else { text(value) };
        let rendered = rendered.trim_end();
        if !rendered.is_empty() {
            use std::io::Write;
            // A closed pipe (`| head`) is no error of ours.
            let _ = writeln!(std::io::stdout(), "{rendered}");
        }
        Ok(())
    }

    /// Signs a body as the caller, submits it and waits for the witnesses.
    pub async fn state(&self, body: &Body) -> Result<(Node, Client, api::Submitted), Failure> {
        let (node, client) = self.client()?;
        let entry = node.sign(body, now(), fresh_nonce()?)?;
        let submitted = client.submit_witnessed(&entry).await?;
        Ok((node, client, submitted))
    }

    /// States something and says that it is on the ledger.
    pub async fn state_and_say(&self, body: &Body, done: &str) -> Result<(), Failure> {
        let (_, _, submitted) = self.state(body).await?;
        self.print(&submitted, |s| {
            format!("{done}\n  entry {} at index {}, witnessed", s.id, s.index)
        })
    }

    /// A part of the plant's state.
    pub async fn part<T: DeserializeOwned>(&self, part: &str) -> Result<T, Failure> {
        let (_, client) = self.client()?;
        Ok(client.get(&format!("/state/{part}")).await?)
    }

    /// The full identifier that begins with `text` among the keys of a part, to look at:
    /// what is signed is resolved by [`super::proven`].
    pub async fn resolve(&self, part: &str, text: &str) -> Result<Digest, Failure> {
        if let Ok(id) = text.parse() {
            return Ok(id);
        }
        let all: BTreeMap<Digest, serde_json::Value> = self.part(part).await?;
        resolve(part, &all, text)
    }
}

/// Shows what would be signed and asks, unless `yes` says that nobody need be asked.
///
/// # Errors
/// [`Failure::Failed`] when the answer is another, or nobody is there to give one.
pub fn confirm(words: &str, question: &str, yes: bool) -> Result<(), Failure> {
    use std::io::{IsTerminal, Write};
    eprintln!("{}", legible(words));
    if yes {
        return Ok(());
    }
    if !std::io::stdin().is_terminal() {
        return Err(Failure::Failed("nobody is there to confirm: give --yes to sign".into()));
    }
    eprint!("{question} Type yes: ");
    std::io::stderr().flush()?;
    let mut answer = String::new();
    std::io::stdin().read_line(&mut answer)?;
    match answer.trim() {
        "yes" => Ok(()),
        _ => Err(Failure::Failed("not signed".into())),
    }
}

/// Words without what a terminal would take for a command, or what turns around or
/// hides what stands beside it: others wrote some of them.
pub fn legible(words: &str) -> String {
    let shown = |c: char| match c {
        '\n' => c,
        c if is_hidden(c) => '\u{fffd}',
        c => c,
    };
    words.chars().map(shown).collect()
}

/// Splits `name=value`.
pub fn assignment(text: &str) -> Result<(Id, i64), String> {
    let (name, value) =
        text.split_once('=').ok_or_else(|| format!("`{text}` is not NAME=NUMBER"))?;
    let name = name.parse().map_err(|e| format!("{e}"))?;
    let value = value.parse().map_err(|_| format!("`{value}` is not a whole number"))?;
    Ok((name, value))
}

/// A duration such as `90s`, `10m`, `2h` or `7d`, in milliseconds.
pub fn duration(text: &str) -> Result<u64, String> {
    let wrong = || format!("`{text}` is not a duration such as 90s, 10m, 2h or 7d");
    let units = [('s', 1_000), ('m', 60_000), ('h', 3_600_000), ('d', 86_400_000)];
    let split = |(unit, factor)| text.strip_suffix(unit).map(|number| (number, factor));
    let (number, factor): (_, u64) = units.into_iter().find_map(split).ok_or_else(wrong)?;
    let number: u64 = number.parse().map_err(|_| wrong())?;
    number.checked_mul(factor).ok_or_else(wrong)
}

/// A byte count such as `500k`, `64M` or `2G`.
pub fn bytes(text: &str) -> Result<u64, String> {
    let wrong = || format!("`{text}` is not a size such as 500k, 64M or 2G");
    let units = [('k', 1_u64 << 10), ('M', 1 << 20), ('G', 1 << 30)];
    let split = |(unit, factor)| text.strip_suffix(unit).map(|number| (number, factor));
    let (number, factor) = units.into_iter().find_map(split).unwrap_or((text, 1));
    let number: u64 = number.parse().map_err(|_| wrong())?;
    number.checked_mul(factor).ok_or_else(wrong)
}

/// Columns, each as wide as its widest cell.
pub fn table(head: &[&str], rows: &[Vec<String>]) -> String {
    if rows.is_empty() {
        return "none".into();
    }
    let mut widths: Vec<usize> = head.iter().map(|h| h.chars().count()).collect();
    for row in rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.chars().count());
        }
    }
    let line = |cells: Vec<&str>| {
        let padded: Vec<String> =
            cells.iter().zip(&widths).map(|(cell, width)| format!("{cell:<width$}")).collect();
        padded.join("  ").trim_end().to_owned()
    };
    let mut lines = vec![line(head.to_vec())];
    lines.extend(rows.iter().map(|row| line(row.iter().map(String::as_str).collect())));
    lines.join("\n")
}
