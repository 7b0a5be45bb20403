//! Changes of the rules by who must not, and keys that count no longer.

use super::{Drill, Hand};
use crate::cli::context::Failure;
use base::{Digest, Id, Rule};
use node::fresh_seed;
use plant::body::{Approve, Body, Change, Member, Order, RevokeKey, SetPolicy, SetRoles};
use policy::Role;
use proof::{
    entry::Entry,
    keys::{PublicKey, SecretKey},
};
use serde_json::Value;
use std::{collections::BTreeSet, time::Duration};

/// How often a cell is asked, a fifth of a second apart, before it is given up.
const LOOKS: u32 = 100;

impl Drill {
    pub(super) async fn rules(&mut self) -> Result<(), Failure> {
        let mine: BTreeSet<Role> = [Role::Operator, Role::SecurityOfficer].into();
        let promote = |id: &Id| {
            Body::Propose(Change::Roles(SetRoles { member: id.clone(), roles: mine.clone() }))
        };
        let me = self.operator.node.member().clone();
        let name = "operator makes itself security officer";
        self.state_as_operator(name, Rule::Policy, promote(&me)).await?;
        let proposed = self.officer.state(&promote(&me)).await?;
        let approve = Body::Approve(Approve { proposal: proposed.id });
        let answer = self.officer.try_state(&approve).await?;
        self.report.note(
            "change of roles with one officer's two signatures",
            Rule::Approval,
            answer,
        );
        let answer = self.operator.try_state(&approve).await?;
        let name = "change of roles approved by its beneficiary, an operator";
        self.report.note(name, Rule::Policy, answer);
        let text = format!("{}\n// Proposed by a drill: do not approve it.\n", policy::DEFAULT);
        let policy = Body::Propose(Change::Policy(SetPolicy { text }));
        let proposed = self.officer.state(&policy).await?;
        let approve = Body::Approve(Approve { proposal: proposed.id });
        let answer = self.officer.try_state(&approve).await?;
        self.report.note(
            "change of policy with one officer's two signatures",
            Rule::Approval,
            answer,
        );
        self.passing().await
    }

    /// A member that is enrolled properly, orders for later, and is revoked before
    /// that order's time has come.
    async fn passing(&mut self) -> Result<(), Failure> {
        let signer =
            SecretKey::from_seed(&*fresh_seed()?).map_err(|e| Failure::Failed(e.to_string()))?;
        let key = PublicKey::of(&signer);
        let id: Id = format!("drill-{}", key.fingerprint().short()).parse()?;
        let member = Member {
            id: id.clone(),
            keys: vec![key.clone()],
            name: "drill".into(),
            roles: [Role::Operator].into(),
            seal: None,
        };
        let proposed = self.officer.state(&Body::Propose(Change::Member(member))).await?;
        self.other_officer.state(&Body::Approve(Approve { proposal: proposed.id })).await?;
        let signed = |drill: &Self, order: Order| -> Result<Entry, Failure> {
            let mut statement = drill.operator.sign(&Body::Order(order))?.statement;
            (statement.issuer, statement.key) = (id.clone(), key.fingerprint());
            Ok(Entry::sign(statement, &signer)?)
        };
        let now = self.again();
        let opens = now.not_before.plus(600_000);
        let later = Order { not_before: opens, not_after: now.not_before.plus(660_000), ..now };
        let early = signed(self, later)?;
        let early = self.operator.client.submit_witnessed(&early).await?.id;
        let cell = self.order.cell.clone();
        let held = self.held_back(&cell, &early).await?;
        let name = "order before its time, logged, at the cell";
        self.report.shown(name, Rule::Time, held.as_ref());
        self.stale(early, opens).await?;

        let revoke =
            RevokeKey { key: key.fingerprint(), member: id.clone(), reason: "drill".into() };
        self.officer.state(&Body::RevokeKey(revoke)).await?;
        let order = signed(self, self.again())?;
        self.submit("order with a revoked key", Rule::Enrolment, &order).await;
        let gone = self.refused_by_cell(&early).await?;
        let name = "order logged before its key was revoked, at the cell";
        self.report.shown(name, Rule::Enrolment, gone.as_ref());
        Ok(())
    }

    /// The refusal that a cell shows for an order that it does not start.
    async fn held_back(&self, cell: &Id, order: &Digest) -> Result<Option<Value>, Failure> {
        let wanted = order.to_string();
        for _ in 0..LOOKS {
            let status = self.auditor.cell(&self.cells, cell, "/status").await?;
            let orders = status["orders"].as_array().into_iter().flatten();
            let ours = orders.into_iter().find(|o| o["order"] == wanted.as_str());
            if let Some(ours) = ours {
                return Ok(Some(ours["held_back_by"].clone()));
            }
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
        Ok(None)
    }

    /// The refusal of an order that its cell has put on the ledger.
    async fn refused_by_cell(&self, order: &Digest) -> Result<Option<Value>, Failure> {
        for _ in 0..LOOKS {
            let orders: Value = self.auditor.client.get("/state/orders").await?;
            if let Some(refusal) = orders[order.to_string()]["status"].get("refused") {
                return Ok(Some(refusal.clone()));
            }
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
        Ok(None)
    }
}

impl Hand {
    /// What a cell says to this member.
    pub(super) async fn cell(
        &self,
        cells: &[node::config::CellAddress],
        cell: &Id,
        path: &str,
    ) -> Result<Value, Failure> {
        let address = cells.iter().find(|c| c.member == *cell).ok_or_else(|| {
            Failure::Failed(format!("the site's `interlock.toml` has no address of `{cell}`"))
        })?;
        let http = self.to_member(cell)?;
        let url = format!("{}{path}", address.url.trim_end_matches('/'));
        let answer = http.get(url).send().await.map_err(transport::client::AnswerError::from)?;
        Ok(transport::client::json(answer, 1 << 20).await?)
    }
}
