//! `member rotate`: another key in the place of a member's own, with none in between.

use super::{
    change::Known,
    context::{Context, Failure},
};
use base::{Bytes, Digest, Id};
use node::{Client, Node, fresh_nonce, now, rotation::Turn};
use plant::body::{Body, Change, Member};
use policy::Role;
use proof::keys::PublicKey;
use serde::{Deserialize, Serialize};
use std::{collections::BTreeMap, path::PathBuf};

#[derive(clap::Args)]
pub struct Args {
    /// The folder whose key is replaced, when it is not your own; as a security
    /// officer on the same machine.
    #[arg(long, value_name = "FOLDER")]
    of: Option<PathBuf>,
    /// What `member rotate --json` printed on another machine: propose it, as a
    /// security officer.
    #[arg(long, value_name = "FILE", conflicts_with = "of")]
    request: Option<PathBuf>,
}

/// The public halves of new keys, on their way to a security officer.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Request {
    member: Id,
    key: PublicKey,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    seal: Option<Bytes>,
}

type Members = BTreeMap<Id, Known>;

pub async fn run(context: &Context, args: Args) -> Result<(), Failure> {
    if let Some(file) = &args.request {
        let request: Request = super::change::read_json(file)?;
        let (_, client) = context.client()?;
        let members: Members = client.get("/state/members").await?;
        return propose(context, &request, &members).await;
    }
    let (caller, client) = context.client()?;
    let node = match &args.of {
        Some(dir) => Node::load(dir)?,
        None => context.node()?,
    };
    // An outside processor may not read who the members are; its own program takes
    // the key by itself when a grant proves it.
    let members: Members = match client.get("/state/members").await {
        Ok(members) => members,
        Err(error) => match Failure::from(error) {
            Failure::Refused(_) => Members::new(),
            other => return Err(other),
        },
    };
    let known = members.get(node.member());
    let counts =
        |key: &Digest| known.is_some_and(|k| k.live_keys().any(|k| k.fingerprint() == *key));
    let turn = match known {
        Some(_) => node.turn(counts)?,
        None => Turn::Rest,
    };
    if !matches!(turn, Turn::Rest) {
        return finish(context, &node, known, turn).await;
    }
    let next = node.prepare_next()?;
    let request = Request { member: node.member().clone(), key: next.sign, seal: next.seal };
    let officer = members.get(caller.member());
    if officer.is_some_and(|k| k.member.roles.contains(&Role::SecurityOfficer)) {
        return propose(context, &request, &members).await;
    }
    context.print(&request, |request| {
        format!(
            "a new key lies in `{}` and signs nothing yet\n  fingerprint {}\n  \
             hand its public half to a security officer: `member rotate --json > FILE` here, \
             `member rotate --request FILE` there",
            node.dir.join("sign.next.key").display(),
            request.key.fingerprint(),
        )
    })
}

/// Proposes the member with the new key beside those that count.
async fn propose(context: &Context, request: &Request, members: &Members) -> Result<(), Failure> {
    let known = members.get(&request.member).ok_or_else(|| {
        Failure::Failed(format!("`{}` is not enrolled: use `member enrol`", request.member))
    })?;
    let mut member = Member { keys: known.live_keys().cloned().collect(), ..known.member.clone() };
    member.keys.push(request.key.clone());
    // Only who receives sealed keys has a sealing key on the ledger.
    if member.seal.is_some() && request.seal.is_some() {
        member.seal.clone_from(&request.seal);
    }
    let print = request.key.fingerprint();
    let (_, _, submitted) = context.state(&Body::Propose(Change::Member(member))).await?;
    let value = serde_json::json!({
        "id": submitted.id, "index": submitted.index, "member": request.member, "key": print,
    });
    context.print(&value, |_| {
        format!(
            "proposed: `{}` gets the key {print} beside its old one\n  \
             another security officer compares that fingerprint and approves it with `interlock \
             change approve {}`\n  then a running cell, site or analyst takes it by itself and \
             gives the old one up; a person says `interlock member rotate` once more",
            request.member,
            submitted.id.short(),
        )
    })
}

/// Whether the member's own running program replaces the key.
fn is_machine(known: Option<&Known>) -> bool {
    let machine = [Role::Cell, Role::Site, Role::Processor];
    known.is_some_and(|k| machine.iter().any(|role| k.member.roles.contains(role)))
}

async fn finish(
    context: &Context,
    node: &Node,
    known: Option<&Known>,
    turn: Turn,
) -> Result<(), Failure> {
    if is_machine(known) {
        let text = "the new key is enrolled: the machine takes it by itself while it runs";
        return context
            .print(&serde_json::json!({ "member": node.member(), "rotated": false }), |_| {
                text.into()
            });
    }
    let counts =
        |key: &Digest| known.is_some_and(|k| k.live_keys().any(|live| live.fingerprint() == *key));
    let turn = match turn {
        Turn::Switch => {
            node.switch()?;
            node.turn(counts)?
        }
        other => other,
    };
    if let Turn::GiveUp(old) = &turn {
        let client = Client::of(node)?;
        client.submit_witnessed(&node.give_up(old, now(), fresh_nonce()?)?).await?;
    }
    node.forget_old()?;
    let print = PublicKey::of(&*node.signer).fingerprint();
    let value = serde_json::json!({ "member": node.member(), "rotated": true, "key": print });
    context.print(&value, |_| {
        format!(
            "rotated: `{}` signs with {print} from now on; the old key is given up and gone\n  \
             orders that it signed and that did not start are refused: sign them anew",
            node.member()
        )
    })
}
