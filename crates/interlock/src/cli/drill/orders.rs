//! Orders that must move nothing.

use super::Drill;
use crate::cli::context::Failure;
use base::{Bytes, Rule};
use node::{fresh_seed, now};
use plant::body::{Body, Hold, Order, Release};
use proof::{
    entry::{Entry, Signature},
    keys::{PublicKey, SecretKey},
};

impl Drill {
    pub(super) async fn orders(&mut self) -> Result<(), Failure> {
        let honest = self.operator.sign(&Body::Order(self.again()))?;
        let mut forged = honest.clone();
        forged.signature = Signature::Ed25519(Bytes(vec![7; 64]));
        self.submit("order with a forged signature", Rule::Signature, &forged).await;

        let mut edited = honest.clone();
        if let Some(value) = edited.statement.body.pointer_mut("/order/part") {
            *value = "another-part".into();
        }
        self.submit("order edited after signing", Rule::Signature, &edited).await;

        let stranger =
            SecretKey::from_seed(&*fresh_seed()?).map_err(|e| Failure::Failed(e.to_string()))?;
        let mut statement = honest.statement.clone();
        statement.issuer = "mallory".parse()?;
        statement.key = PublicKey::of(&stranger).fingerprint();
        let unknown = Entry::sign(statement, &stranger)?;
        self.submit("order by somebody who is not enrolled", Rule::Enrolment, &unknown).await;

        let mut statement = honest.statement.clone();
        statement.key = PublicKey::of(&stranger).fingerprint();
        let posing = Entry::sign(statement, &stranger)?;
        let name = "order in the operator's name with another key";
        self.submit(name, Rule::Enrolment, &posing).await;

        let wrong_role = self.auditor.sign(&Body::Order(self.again()))?;
        self.submit("order by an auditor", Rule::Policy, &wrong_role).await;

        let at = now();
        let late =
            Order { not_before: base::Millis(1), not_after: base::Millis(2), ..self.again() };
        self.state_as_operator("order that has expired", Rule::Time, Body::Order(late)).await?;
        let endless = Order { not_after: at.plus(365 * 86_400_000), ..self.again() };
        let name = "order that is valid for a year";
        self.state_as_operator(name, Rule::Time, Body::Order(endless)).await?;

        let replay = self.done.entry.clone();
        let answer = self.auditor.client.submit(&replay).await;
        self.report.note("order that was carried out, replayed", Rule::Replay, answer);

        let mut statement = honest.statement.clone();
        statement.nonce = self.done.entry.statement.nonce.clone();
        let mut other = self.again();
        // All else is as it may be, so that nothing but the nonce can refuse it.
        other.part = "another-part".parse()?;
        statement.body = serde_json::to_value(Body::Order(other))?;
        let same_nonce = Entry::sign(statement, self.operator.node.signer.as_ref())?;
        let name = "order with a used nonce and another part";
        self.submit(name, Rule::Replay, &same_nonce).await;

        let elsewhere = Order { cell: "cell-9".parse()?, ..self.again() };
        let name = "order for a cell that is not there";
        self.state_as_operator(name, Rule::Target, Body::Order(elsewhere)).await?;
        let mut wild = self.again();
        wild.parameters.insert("speed_percent".parse()?, 1_000);
        let name = "order with a speed beyond its bound";
        self.state_as_operator(name, Rule::Parameters, Body::Order(wild)).await?;
        let mut swapped = self.again();
        swapped.program.sha256 = base::sha256(b"another program");
        let name = "order for another program of the same name";
        self.state_as_operator(name, Rule::Parameters, Body::Order(swapped)).await?;

        let mut statement = honest.statement.clone();
        statement.site = "another-site".parse()?;
        let foreign = Entry::sign(statement, self.operator.node.signer.as_ref())?;
        self.submit("order for another site", Rule::Target, &foreign).await;
        let mut statement = honest.statement.clone();
        statement.at = now().plus(3_600_000);
        let ahead = Entry::sign(statement, self.operator.node.signer.as_ref())?;
        self.submit("order from a clock an hour ahead", Rule::Time, &ahead).await;
        self.held().await
    }

    /// Orders and releases while a hold is in force.
    async fn held(&mut self) -> Result<(), Failure> {
        let hold = Hold { cell: None, reason: "drill".into() };
        let answer = self.analyst.try_state(&Body::Hold(hold)).await?;
        self.report.note("hold of the whole site by a processor", Rule::Policy, answer);
        let hold = Hold { cell: Some(self.order.cell.clone()), reason: "drill".into() };
        let placed = self.auditor.state(&Body::Hold(hold)).await?;
        let order = Body::Order(self.again());
        self.state_as_operator("order while a hold is in force", Rule::Hold, order).await?;
        let release = Body::Release(Release { hold: placed.id });
        let answer = self.auditor.try_state(&release).await?;
        self.report.note("release of a hold by an auditor", Rule::Policy, answer);
        self.operator.state(&release).await?;
        let answer = self.operator.try_state(&release).await?;
        self.report.note("release of a hold by the same person twice", Rule::Approval, answer);
        self.officer.state(&release).await?;
        Ok(())
    }
}
