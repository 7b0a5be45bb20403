//! `invite`: a one-time link by which a person enrols a passkey.

use super::{
    change::Known,
    context::{Context, Failure, duration},
    proven,
};
use base::Id;
use node::{
    Node,
    invite::{Invitation, anchors_digest},
    now,
};
use plant::body::{Body, Change, Member};
use policy::Role;
use proof::keys::{PublicKey, origin_host};

#[derive(clap::Args)]
pub struct Args {
    /// The member: a new one, or one who enrols another passkey.
    member: Id,
    /// Its name for people; the one that it has when absent.
    #[arg(long)]
    name: Option<String>,
    /// Its roles; those that it has when absent.
    #[arg(long, value_delimiter = ',', value_name = "ROLE")]
    roles: Vec<Role>,
    /// How long the link may be used, at most 14d.
    #[arg(long, default_value = "7d", value_parser = duration)]
    valid_for: u64,
    /// The console's address; the one at which you enrolled when absent.
    #[arg(long, value_name = "URL")]
    console_origin: Option<String>,
}

pub async fn run(context: &Context, args: Args) -> Result<(), Failure> {
    let node = context.node()?;
    // The keys that a member has are named anew beside the invitation, and the link
    // goes to a person: neither on the site's word.
    let plant = proven::plant(context).await?;
    let known = |member: &Id| plant.members.get(member).map(Known::from);
    let origin = match &args.console_origin {
        Some(origin) => origin.clone(),
        None => own_origin(&node, known(node.member()).as_ref())?,
    };
    if origin_host(&origin).is_none() {
        return Err(Failure::Failed(format!(
            "console origin `{origin}`: https://HOST[:PORT] or http://localhost[:PORT] is expected"
        )));
    }
    let invitation =
        Invitation::new(now().plus(args.valid_for)).map_err(|e| Failure::Failed(e.to_string()))?;
    let member = invited(&args, known(&args.member).as_ref(), invitation.key())?;
    let (_, _, submitted) = context.state(&Body::Propose(Change::Member(member))).await?;
    let link = invitation.link(&origin, &args.member, &anchors_digest(&node.anchors)?);
    let value = serde_json::json!({
        "id": submitted.id, "index": submitted.index, "member": args.member, "link": link.as_str(),
    });
    context.print(&value, |_| {
        format!(
            "proposed: another security officer approves it with `interlock change approve {}`\n  \
             then `{}` enrols a passkey, once, by this link; it is a key: hand it over in private\n\
             {}",
            submitted.id.short(),
            args.member,
            link.as_str()
        )
    })
}

/// The member with the invitation beside the keys that count.
fn invited(args: &Args, known: Option<&Known>, key: &PublicKey) -> Result<Member, Failure> {
    let mut member = match known {
        Some(known) => {
            Member { keys: known.live_keys().cloned().collect(), ..known.member.clone() }
        }
        None if args.roles.is_empty() => {
            let text = format!("`{}` is not enrolled: give --roles for a new member", args.member);
            return Err(Failure::Failed(text));
        }
        None => Member {
            id: args.member.clone(),
            keys: Vec::new(),
            name: args.member.to_string(),
            roles: Default::default(),
            seal: None,
        },
    };
    member.keys.push(key.clone());
    if let Some(name) = &args.name {
        member.name.clone_from(name);
    }
    if !args.roles.is_empty() {
        member.roles = args.roles.iter().copied().collect();
    }
    Ok(member)
}

/// The console at which the caller enrolled, or may enrol by its own link.
fn own_origin(node: &Node, own: Option<&Known>) -> Result<String, Failure> {
    let passkey = own.into_iter().flat_map(Known::live_keys).find_map(|key| match key {
        PublicKey::Passkey(passkey) => Some(passkey.origin.clone()),
        PublicKey::Ed25519(_) | PublicKey::Invitation(_) => None,
    });
    let link = || transport::read_secret(&node.dir.join("enrol-link.txt")).ok();
    let linked = || link().and_then(|text| Some(text.split_once("/enrol#")?.0.to_owned()));
    passkey.or_else(linked).ok_or_else(|| {
        let text = "which console? give --console-origin, e.g. https://hall-7.example.com:7450";
        Failure::Failed(text.into())
    })
}
