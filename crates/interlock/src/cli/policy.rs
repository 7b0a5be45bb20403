//! `policy`: read it, try it, check a new text, propose it.

use super::{
    change::read,
    context::{Context, Failure},
    proven,
};
use ::policy::{Action, DEFAULT, Policy};
use base::Id;
use clap::Subcommand;
use plant::body::{Body, Change, SetPolicy};
use std::path::PathBuf;

#[derive(Subcommand)]
pub enum Verb {
    /// The policy in force; with --default, the one a new plant starts with.
    Show {
        /// The shipped text.
        #[arg(long)]
        default: bool,
    },
    /// Check a policy text without proposing it; or ask whether a member may do
    /// something now.
    Check {
        /// A Cedar file.
        #[arg(conflicts_with_all = ["member", "action"], required_unless_present = "member")]
        file: Option<PathBuf>,
        /// Who.
        #[arg(long, requires = "action")]
        member: Option<Id>,
        /// What, e.g. `order.place`.
        #[arg(long)]
        action: Option<Action>,
        /// Where; the whole site when absent.
        #[arg(long)]
        cell: Option<Id>,
        /// The program of an order, or the kind of a change.
        #[arg(long, default_value = "")]
        subject: String,
        /// As if a passkey had verified the person.
        #[arg(long)]
        user_verified: bool,
    },
    /// Propose a new policy text; two security officers must sign.
    Propose {
        /// A Cedar file.
        file: PathBuf,
    },
}

pub async fn run(context: &Context, verb: Verb) -> Result<(), Failure> {
    match verb {
        Verb::Show { default: true } => context.print(&DEFAULT, |t| (*t).to_owned()),
        Verb::Show { default: false } => {
            // People edit it and propose the outcome.
            let text = proven::plant(context).await?.policy.text().to_owned();
            context.print(&text, String::clone)
        }
        Verb::Check { file: Some(file), .. } => {
            check_text(&file)?;
            context.print(&serde_json::json!({ "valid": true }), |_| {
                format!("`{}` is valid under the schema", file.display())
            })
        }
        Verb::Check {
            member: Some(member),
            action: Some(action),
            cell,
            subject,
            user_verified,
            ..
        } => {
            let (_, client) = context.client()?;
            let mut query = format!(
                "/policy/decision?member={member}&action={action}&user_verified={user_verified}"
            );
            if let Some(cell) = cell {
                query.push_str(&format!("&cell={cell}"));
            }
            if !subject.is_empty() {
                // The same characters as an identifier: nothing to escape.
                let subject: Id = subject.parse()?;
                query.push_str(&format!("&subject={subject}"));
            }
            let decision: serde_json::Value = client.get(&query).await?;
            context.print(&decision, |d| {
                let because: Vec<&str> = d["because"]
                    .as_array()
                    .into_iter()
                    .flatten()
                    .filter_map(|b| b.as_str())
                    .collect();
                let may = if d["allowed"] == true { "may" } else { "may not" };
                format!("`{member}` {may} `{action}`: {}", because.join("; "))
            })
        }
        Verb::Check { .. } => Err(Failure::Failed("give a file, or --member with --action".into())),
        Verb::Propose { file } => {
            let text = check_text(&file)?;
            let body = Body::Propose(Change::Policy(SetPolicy { text }));
            context.state_and_say(&body, "proposed: another security officer approves it").await
        }
    }
}

fn check_text(file: &PathBuf) -> Result<String, Failure> {
    let text = String::from_utf8(read(file)?)
        .map_err(|e| Failure::Failed(format!("`{}`: {e}", file.display())))?;
    Policy::parse(&text).map_err(|e| Failure::Failed(format!("`{}`: {e}", file.display())))?;
    Ok(text)
}
