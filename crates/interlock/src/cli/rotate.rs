//! `member rotate`: another key in the place of a member's own, with none in between.

use super::{
    change::Known,
    context::{Context, Failure},
    proven,
};
use base::{Bytes, Digest, Id, sha256};
use node::{Client, Node, fresh_nonce, now, rotation::Turn};
use plant::{
    Plant,
    body::{Body, Change, Member},
};
use policy::Role;
use proof::keys::PublicKey;
use serde::{Deserialize, Serialize};
use std::path::PathBuf;

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

pub async fn run(context: &Context, args: Args) -> Result<(), Failure> {
    if let Some(file) = &args.request {
        let plant = proven::plant(context).await?;
        return propose(context, &super::change::read_json(file)?, &plant).await;
    }
    let (caller, client) = context.client()?;
    let node = match &args.of {
        Some(dir) => Node::load(dir)?,
        None => context.node()?,
    };
    let plant = readable_plant(context, &client).await?;
    if let Some(plant) = plant.as_ref().filter(|p| p.members.contains_key(node.member())) {
        let turn = node.turn(|key| plant.live_key(node.member(), key).is_some())?;
        if !matches!(turn, Turn::Rest) {
            return finish(context, &node, plant, turn).await;
        }
    }
    let next = node.prepare_next()?;
    let request = Request { member: node.member().clone(), key: next.sign, seal: next.seal };
    let officer = |plant: &Plant| plant.has_role(caller.member(), Role::SecurityOfficer);
    if let Some(plant) = plant.as_ref().filter(|plant| officer(plant)) {
        return propose(context, &request, plant).await;
    }
    context.print(&request, |request| {
        format!(
            "a new key lies in `{}` and signs nothing yet\n  fingerprint {}{}\n  \
             hand its public half to a security officer: `member rotate --json > FILE` here, \
             `member rotate --request FILE` there",
            node.dir.join("sign.next.key").display(),
            request.key.fingerprint(),
            sealed_to(request.seal.as_ref()),
        )
    })
}

/// What is sealed to a member can be read by whoever has the other half of this key: it
/// is compared as the signing key is.
fn sealed_to(seal: Option<&Bytes>) -> String {
    seal.map(|seal| format!("\n  reading key {}", sha256(&seal.0))).unwrap_or_default()
}

/// The plant as its ledger proves it: a key that is taken or given up on the site's
/// word could leave a member that cannot sign. None for an outside processor, who may
/// not read the ledger; its own program takes the key when a grant proves it.
async fn readable_plant(context: &Context, client: &Client) -> Result<Option<Plant>, Failure> {
    match client.get::<serde_json::Value>("/state/members").await.map_err(Failure::from) {
        Ok(_) => Ok(Some(proven::plant(context).await?)),
        Err(Failure::Refused(_)) => Ok(None),
        Err(other) => Err(other),
    }
}

/// Proposes the member with the new key beside those that count.
async fn propose(context: &Context, request: &Request, plant: &Plant) -> Result<(), Failure> {
    let known = plant.members.get(&request.member).map(Known::from).ok_or_else(|| {
        Failure::Failed(format!("`{}` is not enrolled: use `member enrol`", request.member))
    })?;
    let mut member = Member { keys: known.live_keys().cloned().collect(), ..known.member.clone() };
    member.keys.push(request.key.clone());
    // Only who receives sealed keys has a sealing key on the ledger.
    if member.seal.is_some() && request.seal.is_some() {
        member.seal.clone_from(&request.seal);
    }
    let (print, seal) = (request.key.fingerprint(), member.seal.clone());
    let (_, _, submitted) = context.state(&Body::Propose(Change::Member(member))).await?;
    let value = serde_json::json!({
        "id": submitted.id, "index": submitted.index, "member": request.member, "key": print,
    });
    context.print(&value, |_| {
        format!(
            "proposed: `{}` gets the key {print} beside its old one{}\n  \
             another security officer compares these fingerprints and approves it with `interlock \
             change approve {}`\n  then a running cell, site or analyst takes it by itself and \
             gives the old one up; a person says `interlock member rotate` once more",
            request.member,
            sealed_to(seal.as_ref()),
            submitted.id.short(),
        )
    })
}

async fn finish(context: &Context, node: &Node, plant: &Plant, turn: Turn) -> Result<(), Failure> {
    // A machine's own running program replaces its key.
    let machine = [Role::Cell, Role::Site, Role::Processor];
    if machine.iter().any(|role| plant.has_role(node.member(), *role)) {
        let text = "the new key is enrolled: the machine takes it by itself while it runs";
        return context
            .print(&serde_json::json!({ "member": node.member(), "rotated": false }), |_| {
                text.into()
            });
    }
    let counts = |key: &Digest| plant.live_key(node.member(), key).is_some();
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
