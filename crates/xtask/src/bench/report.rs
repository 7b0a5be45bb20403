//! What was measured, beside its peers and its goal.

use serde_json::{Value, json};

/// Where a figure must lie.
#[derive(Clone, Copy)]
pub enum Goal {
    /// At or above.
    AtLeast(f64),
    /// At or below.
    AtMost(f64),
}

/// The other side of a measure.
pub struct Peer {
    /// What it is, or why there is none.
    pub name: String,
    /// Its figure in the same unit.
    pub value: Option<f64>,
}

/// One row.
pub struct Measure {
    /// Its name in the report.
    pub name: &'static str,
    /// Ours.
    pub value: f64,
    /// Of ours and the peers'.
    pub unit: &'static str,
    /// What people would use instead, the strongest first.
    pub peers: Vec<Peer>,
    /// Where ours must lie.
    pub goal: Option<Goal>,
    pub details: Value,
}

impl Measure {
    /// A row without peers and goal.
    pub fn new(name: &'static str, value: f64, unit: &'static str) -> Self {
        eprintln!("   {name}: {value:.1} {unit}");
        Self { name, value, unit, peers: Vec::new(), goal: None, details: Value::Null }
    }

    /// With another side.
    pub fn peer(mut self, name: impl Into<String>, value: Option<f64>) -> Self {
        self.peers.push(Peer { name: name.into(), value });
        self
    }

    /// With a goal.
    pub fn goal(self, goal: Goal) -> Self {
        Self { goal: Some(goal), ..self }
    }

    /// With every single value.
    pub fn details(self, details: Value) -> Self {
        Self { details, ..self }
    }

    /// Whether the goal is met; none without one.
    pub fn met(&self) -> Option<bool> {
        self.goal.map(|goal| match goal {
            Goal::AtLeast(least) => self.value >= least,
            Goal::AtMost(most) => self.value <= most,
        })
    }

    /// Ours over the first peer's.
    pub fn ratio(&self) -> Option<f64> {
        let theirs = self.peers.first()?.value?;
        Some(self.value / theirs)
    }

    /// As it stands in the report.
    pub fn to_json(&self) -> Value {
        let goal = match self.goal {
            Some(Goal::AtLeast(least)) => json!({ "at_least": least }),
            Some(Goal::AtMost(most)) => json!({ "at_most": most }),
            None => Value::Null,
        };
        let first = self.peers.first();
        let peers: Vec<Value> =
            self.peers.iter().map(|p| json!({ "name": p.name, "value": p.value })).collect();
        json!({
            "name": self.name, "value": self.value, "unit": self.unit,
            "peer": first.map(|p| &p.name), "peer_value": first.and_then(|p| p.value),
            "peers": peers, "ratio": self.ratio(), "goal": goal, "met": self.met(),
            "details": self.details,
        })
    }
}

/// Prints the rows.
pub fn table(measures: &[Measure]) {
    println!(
        "\n{:<36} {:>10} {:<12} {:>10} {:>7}  {:<9} peer",
        "measure", "value", "unit", "peer", "ratio", "goal"
    );
    for m in measures {
        let shown = |v: Option<f64>| v.map_or("-".into(), |v| format!("{v:.2}"));
        let goal = match m.met() {
            Some(true) => "met",
            Some(false) => "missed",
            None => "-",
        };
        let peer = m.peers.first();
        println!(
            "{:<36} {:>10.1} {:<12} {:>10} {:>7}  {goal:<9} {}",
            m.name,
            m.value,
            m.unit,
            shown(peer.and_then(|p| p.value)),
            shown(m.ratio()),
            peer.map_or("none", |p| p.name.as_str()),
        );
    }
}

/// The middle one.
pub fn median(values: &[f64]) -> f64 {
    percentile(values, 50)
}

/// The smallest value that at least `percent` of all do not pass; 0 of none.
pub fn percentile(values: &[f64], percent: usize) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let rank = (sorted.len() * percent).div_ceil(100).saturating_sub(1);
    sorted.get(rank).copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_values_that_were_measured() {
        let values = [4.0, 1.0, 3.0, 2.0];
        assert_eq!(percentile(&values, 50), 2.0);
        assert_eq!(percentile(&values, 99), 4.0);
        assert_eq!(percentile(&[7.0], 1), 7.0);
        assert_eq!(percentile(&[], 50), 0.0);
    }

    #[test]
    fn a_goal_is_met_on_its_side_and_the_ratio_is_to_the_first_peer() {
        let least = Measure::new("a", 9.0, "1/s").goal(Goal::AtLeast(10.0)).peer("p", Some(3.0));
        assert_eq!((least.met(), least.ratio()), (Some(false), Some(3.0)));
        let most = Measure::new("a", 9.0, "ms").goal(Goal::AtMost(10.0)).peer("none", None);
        assert_eq!((most.met(), most.ratio()), (Some(true), None));
        assert_eq!(Measure::new("a", 1.0, "ms").met(), None);
    }
}
