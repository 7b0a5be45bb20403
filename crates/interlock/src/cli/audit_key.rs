//! `audit key`: everything that a key signed, and what came of it.
//!
//! It is for the hour after a theft: the ledger is replayed from the anchors, so the
//! list is whole, and a site that hides an entry is found out.

use super::{
    audit::Source,
    context::{Context, Failure, duration},
};
use base::{Digest, Id, Millis};
use node::now;
use plant::{
    Body, Plant, RunStatus,
    body::Change,
    history::{Ended, Span},
};
use proof::{entry::Leaf, keys::PublicKey};
use serde::Serialize;
use std::collections::BTreeMap;

#[derive(clap::Args)]
pub struct Args {
    /// The member whose key it is.
    member: Id,
    /// The key's fingerprint, or its first digits; every key of the member when absent.
    #[arg(long, value_name = "FINGERPRINT")]
    key: Option<String>,
    /// Only what was logged at or after this time: 2026-11-21, 2026-11-21T16:20:00Z, or
    /// 2h for two hours ago.
    #[arg(long, value_parser = moment, value_name = "TIME")]
    since: Option<Millis>,
    /// Only what was logged before this time.
    #[arg(long, value_parser = moment, value_name = "TIME")]
    until: Option<Millis>,
    #[command(flatten)]
    source: Source,
}

fn moment(text: &str) -> Result<Millis, String> {
    let ago = |ms: u64| Millis(now().since(Millis(ms)));
    text.parse::<Millis>().map_err(|e| e.to_string()).or_else(|e| {
        let wrong = |_| format!("{e}; or a duration such as 2h, for two hours ago");
        duration(text).map(ago).map_err(wrong)
    })
}

/// A key of the member.
#[derive(Serialize)]
struct Key {
    key: Digest,
    kind: &'static str,
    /// The entry that enrolled it.
    from: u64,
    /// The entry that ended it, and how.
    #[serde(skip_serializing_if = "Option::is_none")]
    end: Option<(u64, &'static str)>,
}

/// An entry that one of the keys signed.
#[derive(Serialize)]
struct Signed {
    index: u64,
    id: Digest,
    logged_at: Millis,
    key: Digest,
    word: &'static str,
    /// What it states.
    words: String,
    /// What came of it, with the entries that say so.
    came: Vec<String>,
}

#[derive(Serialize)]
struct Answer {
    member: Id,
    keys: Vec<Key>,
    entries: Vec<Signed>,
    /// Entries of the whole ledger that were replayed.
    replayed: u64,
}

pub async fn run(context: &Context, args: Args) -> Result<(), Failure> {
    let mut told = Told::default();
    let plant = args
        .source
        .replay(context, None, |index, leaf, plant| told.take(&args.member, index, leaf, plant))
        .await?;
    let keys = keys(&plant, &args.member, args.key.as_deref())?;
    let within = |at: Millis| {
        args.since.is_none_or(|since| at >= since) && args.until.is_none_or(|until| at < until)
    };
    let mut entries = Vec::new();
    for (id, index, leaf, body) in &told.own {
        let statement = &leaf.entry.statement;
        if keys.iter().any(|k| k.key == statement.key) && within(leaf.logged_at) {
            entries.push(Signed {
                index: *index,
                id: *id,
                logged_at: leaf.logged_at,
                key: statement.key,
                word: body.word(),
                words: words(body),
                came: told.came_of(&plant, *index, id, body),
            });
        }
    }
    let answer = Answer { member: args.member, keys, entries, replayed: plant.size };
    context.print(&answer, render)
}

fn keys(plant: &Plant, member: &Id, wanted: Option<&str>) -> Result<Vec<Key>, Failure> {
    let key = |span: &Span| Key {
        key: span.key.fingerprint(),
        kind: match &span.key {
            PublicKey::Ed25519(_) => "key file",
            PublicKey::Passkey(_) => "passkey",
            PublicKey::Invitation(_) => "invitation",
        },
        from: span.from,
        end: span.end.map(|(index, why)| {
            let why = match why {
                Ended::Replaced => "replaced",
                Ended::Retired => "given up",
                Ended::Revoked => "revoked",
                Ended::Used => "used",
            };
            (index, why)
        }),
    };
    let every: Vec<Key> = plant.history.of(member).map(key).collect();
    let known: Vec<String> = every.iter().map(|k| k.key.to_string()).collect();
    let wanted = wanted.unwrap_or_default();
    let found: Vec<Key> =
        every.into_iter().filter(|k| k.key.to_string().starts_with(wanted)).collect();
    if !found.is_empty() {
        return Ok(found);
    }
    let text = match known.is_empty() {
        true => format!("`{member}` never had a key on this ledger"),
        false => format!("`{member}` never had key `{wanted}`; it had:\n  {}", known.join("\n  ")),
    };
    Err(Failure::Failed(text))
}

/// What the ledger tells of a member, gathered while it is replayed: no more of it is
/// held than what the member stated.
#[derive(Default)]
struct Told {
    own: Vec<(Digest, u64, Leaf, Body)>,
    /// What later entries say of one of these.
    came: BTreeMap<Digest, Vec<String>>,
    /// The approvals that brought a proposal into force.
    tipped: Vec<(u64, Digest)>,
}

impl Told {
    fn take(&mut self, member: &Id, index: u64, leaf: Leaf, plant: &Plant) {
        let body = serde_json::from_value::<Body>(leaf.entry.statement.body.clone());
        let (Ok(body), Ok(id)) = (body, leaf.entry.id()) else { return };
        if let Body::Approve(approve) = &body
            && plant.proposals.get(&approve.proposal).is_some_and(|p| p.effective)
        {
            self.tipped.push((index, approve.proposal));
        }
        if let Some((of, words)) = consequence(&leaf.entry.statement.issuer, &body)
            && let Some(came) = self.came.get_mut(&of)
        {
            came.push(format!("entry {index}: {words}"));
        }
        if leaf.entry.statement.issuer == *member {
            self.came.insert(id, Vec::new());
            self.own.push((id, index, leaf, body));
        }
    }

    fn came_of(&self, plant: &Plant, index: u64, id: &Digest, body: &Body) -> Vec<String> {
        let mut lines = self.came.get(id).cloned().unwrap_or_default();
        let tipped = self.tipped.iter().filter(|(_, proposal)| proposal == id);
        lines.extend(tipped.map(|(at, _)| format!("entry {at}: in force from then on")));
        let pending = || plant.orders.get(id).is_some_and(|o| o.status == RunStatus::Pending);
        let effective = || plant.proposals.get(id).is_some_and(|p| p.effective);
        match body {
            Body::Order(_) if pending() => lines.push("no run was started from it".into()),
            Body::Grant(_) => {
                if let Some(grant) = plant.grants.get(id) {
                    lines.push(format!(
                        "{} reads under it, {} bytes served",
                        grant.reads, grant.used
                    ));
                }
            }
            Body::Approve(_) => lines.push(match self.tipped.iter().any(|(at, _)| *at == index) {
                true => "with it the change took effect".to_owned(),
                false => "the change did not take effect by it".to_owned(),
            }),
            Body::Propose(_) if !effective() => lines.push("it never took effect".into()),
            _ => {}
        }
        lines
    }
}

/// Which earlier entry a statement follows from, and in what words.
fn consequence(by: &Id, body: &Body) -> Option<(Digest, String)> {
    Some(match body {
        Body::RunStarted(s) => (s.order, "the robot moved".to_owned()),
        Body::RunEnded(e) => (e.order, format!("the run {:?}", e.outcome).to_lowercase()),
        Body::Recording(r) => (r.order, format!("recording `{}` {}", r.stream, r.root)),
        Body::Refused(r) => (r.request?, format!("`{by}` refused it by rule `{}`", r.refusal.rule)),
        Body::Grant(g) => (g.order, format!("`{by}` granted its data to `{}`", g.processor)),
        Body::Report(r) => (r.grant, format!("`{by}` reported on `{}`", r.part)),
        Body::RevokeGrant(r) => (r.grant, format!("`{by}` revoked it")),
        Body::Shredded(s) => (s.shred, "the key was destroyed".to_owned()),
        Body::Release(r) => (r.hold, format!("`{by}` signed its release")),
        Body::Passport(p) => (p.report, format!("the passport of `{}` was issued", p.part)),
        Body::Approve(a) => (a.proposal, format!("`{by}` approved it")),
        _ => return None,
    })
}

fn change(change: &Change) -> String {
    match change {
        Change::Member(m) => format!("member `{}` with {} keys", m.id, m.keys.len()),
        Change::Roles(r) => {
            let roles: Vec<&str> = r.roles.iter().map(|role| role.as_str()).collect();
            format!("the roles of `{}` to be [{}]", r.member, roles.join(", "))
        }
        Change::Policy(_) => "another policy text".into(),
        Change::Keys(keys) => {
            let parts = [
                ("log", keys.log.is_some()),
                ("witnesses", keys.witnesses.is_some()),
                ("vault", keys.vault.is_some()),
                ("certificate authorities", keys.authorities.is_some()),
            ];
            let named: Vec<&str> = parts.iter().filter(|(_, is)| *is).map(|(n, _)| *n).collect();
            format!("other keys of the plant's own: {}", named.join(", "))
        }
        Change::Program(p) => format!("program `{}` {}", p.id, p.sha256.short()),
        Change::Template(t) => format!("template `{}`", t.id),
    }
}

fn words(body: &Body) -> String {
    match body {
        Body::Genesis(g) => format!("began the plant with {} members", g.members.len()),
        Body::Propose(c) => format!("proposed {}", change(c)),
        Body::Approve(a) => format!("approved proposal {}", a.proposal.short()),
        Body::Accept(a) => {
            let key = PublicKey::Passkey(a.passkey.clone()).fingerprint();
            format!("enrolled the passkey {}", key.short())
        }
        Body::RevokeKey(r) => {
            format!("revoked key {} of `{}`: {}", r.key.short(), r.member, r.reason)
        }
        Body::Order(o) => {
            format!("ordered `{}` on `{}` in cell `{}`", o.program.id, o.part, o.cell)
        }
        Body::RunStarted(s) => format!("started the run of order {}", s.order.short()),
        Body::RunEnded(e) => format!("ended the run of order {}: {:?}", e.order.short(), e.outcome),
        Body::Recording(r) => format!("registered recording `{}` {}", r.stream, r.root),
        Body::Refused(r) => format!("refused `{}` by rule `{}`", r.refusal.what, r.refusal.rule),
        Body::Grant(g) => {
            let roots = g.recordings.len();
            format!("granted {roots} recordings to `{}` for “{}”", g.processor, g.purpose)
        }
        Body::RevokeGrant(r) => format!("revoked grant {}", r.grant.short()),
        Body::Shred(s) => format!("had the key of {} destroyed: {}", s.root, s.reason),
        Body::Shredded(s) => format!("destroyed the key of {}", s.root),
        Body::Read(r) => format!("served {} bytes under grant {}", r.bytes, r.grant.short()),
        Body::Report(r) => format!("reported on `{}` under grant {}", r.part, r.grant.short()),
        Body::Passport(p) => format!("issued the passport of `{}`", p.part),
        Body::Hold(h) => match &h.cell {
            Some(cell) => format!("placed a hold on `{cell}`: {}", h.reason),
            None => format!("placed a hold on the site: {}", h.reason),
        },
        Body::Release(r) => format!("signed the release of hold {}", r.hold.short()),
    }
}

fn render(answer: &Answer) -> String {
    let mut lines = Vec::new();
    for key in &answer.keys {
        let end = match key.end {
            Some((index, why)) => format!("{why} at entry {index}"),
            None => "counts still".to_owned(),
        };
        lines.push(format!(
            "{} {} of `{}`: enrolled at entry {}, {end}",
            key.kind, key.key, answer.member, key.from
        ));
    }
    let count = answer.entries.len();
    lines.push(format!("signed {count} entries, of {} replayed", answer.replayed));
    for entry in &answer.entries {
        lines.push(format!("  {:>6}  {}  {}", entry.index, entry.logged_at, entry.words));
        lines.extend(entry.came.iter().map(|line| format!("          → {line}")));
    }
    lines.join("\n")
}
