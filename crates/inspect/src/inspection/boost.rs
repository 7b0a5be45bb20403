//! Gradient-boosted trees, small enough to review: the classifier of blobs.
//!
//! Multi-class boosting with second-order leaves (Friedman 2001; Chen and Guestrin,
//! "XGBoost", 2016): in each round one shallow tree a class is fitted to the
//! gradient of the softmax loss. No random choice is made, so training again on the
//! same samples gives the same trees.

// Tree growing: each index is a sample's, feature's or class's own number.
#![allow(clippy::indexing_slicing)]

use serde::{Deserialize, Serialize};

/// One node: a question with the places of its two answers, or a leaf.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub(super) enum Node {
    /// Feature, threshold, node when below, node otherwise.
    Split(u16, f32, u16, u16),
    /// What the tree adds to its class's score.
    Leaf(f32),
}

/// The trees, round by round and class by class.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Forest {
    pub classes: usize,
    pub features: usize,
    /// Score of each class before any tree.
    pub base: Vec<f32>,
    pub trees: Vec<Vec<Node>>,
}

/// How a forest is grown.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Growth {
    /// Rounds; each adds one tree for each class.
    pub rounds: usize,
    /// Questions from root to leaf.
    pub depth: usize,
    /// Share of each tree that is taken over.
    pub rate: f32,
    /// Penalty on the size of leaves.
    pub lambda: f32,
    /// The least second-order weight of a leaf.
    pub least: f32,
}

impl Default for Growth {
    fn default() -> Self {
        Self { rounds: 60, depth: 3, rate: 0.15, lambda: 2.0, least: 2.0 }
    }
}

impl Forest {
    /// Checks that every tree can be walked: nodes point forward and within.
    pub fn check(&self) -> Result<(), String> {
        if self.base.len() != self.classes || !self.trees.len().is_multiple_of(self.classes.max(1))
        {
            return Err(format!("{} trees don't share {} classes", self.trees.len(), self.classes));
        }
        for (t, tree) in self.trees.iter().enumerate() {
            let sound = !tree.is_empty()
                && tree.iter().enumerate().all(|(i, node)| match *node {
                    Node::Leaf(v) => v.is_finite(),
                    Node::Split(f, v, a, b) => {
                        let forward = |n: u16| usize::from(n) > i && usize::from(n) < tree.len();
                        usize::from(f) < self.features && v.is_finite() && forward(a) && forward(b)
                    }
                });
            if !sound {
                return Err(format!("tree {t} has a node that points nowhere"));
            }
        }
        Ok(())
    }

    /// The probability of each class.
    pub fn predict(&self, x: &[f32]) -> Vec<f32> {
        let mut score = self.base.clone();
        for (i, tree) in self.trees.iter().enumerate() {
            score[i % self.classes] += walk(tree, x);
        }
        softmax(&score)
    }

    /// Grows a forest from samples and their classes, each sample with a weight.
    pub fn grow(xs: &[Vec<f32>], ys: &[usize], classes: usize, growth: &Growth) -> Self {
        let features = xs.first().map_or(0, Vec::len);
        let mut counts = vec![1.0_f32; classes];
        ys.iter().for_each(|&y| counts[y] += 1.0);
        let total: f32 = counts.iter().sum();
        let base: Vec<f32> = counts.iter().map(|c| (c / total).ln()).collect();
        let mut forest = Self { classes, features, base: base.clone(), trees: Vec::new() };
        let mut scores = vec![base; xs.len()];
        let order: Vec<Vec<usize>> = (0..features)
            .map(|f| {
                let mut order: Vec<usize> = (0..xs.len()).collect();
                order.sort_by(|&a, &b| xs[a][f].total_cmp(&xs[b][f]));
                order
            })
            .collect();
        for _ in 0..growth.rounds {
            let chances: Vec<Vec<f32>> = scores.iter().map(|s| softmax(s)).collect();
            for class in 0..classes {
                let slope: Vec<(f32, f32)> = chances
                    .iter()
                    .zip(ys)
                    .map(|(p, &y)| {
                        let p = p[class];
                        (p - f32::from(u8::from(y == class)), (p * (1.0 - p)).max(1e-6))
                    })
                    .collect();
                let tree = Grower { xs, order: &order, slope: &slope, growth }.grow();
                for (score, x) in scores.iter_mut().zip(xs) {
                    score[class] += walk(&tree, x);
                }
                forest.trees.push(tree);
            }
        }
        forest
    }
}

fn walk(tree: &[Node], x: &[f32]) -> f32 {
    let mut at = 0;
    // Nodes point forward, so the walk ends; the bound holds for unchecked trees too.
    for _ in 0..tree.len() {
        match tree[at] {
            Node::Leaf(v) => return v,
            Node::Split(f, v, below, other) => {
                at = usize::from(if x[usize::from(f)] < v { below } else { other });
            }
        }
    }
    0.0
}

fn softmax(scores: &[f32]) -> Vec<f32> {
    let top = scores.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let powers: Vec<f32> = scores.iter().map(|s| (s - top).exp()).collect();
    let sum: f32 = powers.iter().sum();
    powers.into_iter().map(|p| p / sum).collect()
}

struct Grower<'a> {
    xs: &'a [Vec<f32>],
    /// The samples sorted by each feature.
    order: &'a [Vec<usize>],
    /// First and second derivative of the loss at each sample.
    slope: &'a [(f32, f32)],
    growth: &'a Growth,
}

impl Grower<'_> {
    /// Level by level, so that each feature's order is passed once a level.
    fn grow(&self) -> Vec<Node> {
        let mut nodes = vec![Node::Leaf(0.0)];
        let mut place = vec![0_usize; self.xs.len()];
        let mut open = vec![0_usize];
        for _ in 0..self.growth.depth {
            let mut next = Vec::new();
            for &node in &open {
                let Some((feature, threshold)) = self.best(&place, node) else {
                    continue;
                };
                let (a, b) = (nodes.len(), nodes.len() + 1);
                nodes[node] = Node::Split(feature as u16, threshold, a as u16, b as u16);
                nodes.extend([Node::Leaf(0.0); 2]);
                for (p, x) in place.iter_mut().zip(self.xs).filter(|(p, _)| **p == node) {
                    *p = if x[feature] < threshold { a } else { b };
                }
                next.extend([a, b]);
            }
            open = next;
        }
        for (i, node) in nodes.iter_mut().enumerate() {
            if let Node::Leaf(v) = node {
                let (g, h) = self.sum(&place, i);
                let leaf = -self.growth.rate * g / (h + self.growth.lambda);
                // Five digits keep the file small and the trees equal after a round trip.
                *v = (leaf * 1e5).round() / 1e5;
            }
        }
        nodes
    }

    fn sum(&self, place: &[usize], node: usize) -> (f32, f32) {
        let here = place.iter().zip(self.slope).filter(|(p, _)| **p == node);
        here.fold((0.0, 0.0), |(g, h), (_, s)| (g + s.0, h + s.1))
    }

    fn best(&self, place: &[usize], node: usize) -> Option<(usize, f32)> {
        let (lambda, least) = (self.growth.lambda, self.growth.least);
        let (g, h) = self.sum(place, node);
        let worth = |g: f32, h: f32| g * g / (h + lambda);
        let mut best = (1e-3, None);
        for (feature, order) in self.order.iter().enumerate() {
            let (mut gl, mut hl) = (0.0, 0.0);
            let mut before: Option<f32> = None;
            for &i in order.iter().filter(|&&i| place[i] == node) {
                let v = self.xs[i][feature];
                if let Some(b) = before.filter(|&b| b < v && hl >= least && h - hl >= least) {
                    let gain = worth(gl, hl) + worth(g - gl, h - hl) - worth(g, h);
                    let threshold = (b + v) / 2.0;
                    if gain > best.0 && b < threshold {
                        best = (gain, Some((feature, threshold)));
                    }
                }
                before = Some(v);
                gl += self.slope[i].0;
                hl += self.slope[i].1;
            }
        }
        best.1
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
mod tests {
    use super::*;

    #[test]
    fn trees_learn_what_no_single_threshold_can() {
        let xs: Vec<Vec<f32>> =
            (0..400).map(|i| vec![(i % 20) as f32, (i / 20) as f32, 1.0]).collect();
        let ys: Vec<usize> = xs
            .iter()
            .map(|x| if x[0] < 7.0 { 0 } else { 1 + usize::from((x[0] < 14.0) != (x[1] < 9.0)) })
            .collect();
        let forest = Forest::grow(&xs, &ys, 3, &Growth::default());
        forest.check().unwrap();
        let right = xs.iter().zip(&ys).filter(|(x, y)| {
            let p = forest.predict(x);
            (0..3).max_by(|&a, &b| p[a].total_cmp(&p[b])) == Some(**y)
        });
        assert!(right.count() >= 392);
        let text = serde_json::to_string(&forest).unwrap();
        assert_eq!(serde_json::from_str::<Forest>(&text).unwrap(), forest);
    }

    #[test]
    fn a_tree_that_points_nowhere_is_refused() {
        let broken = |node| Forest {
            classes: 1,
            features: 2,
            base: vec![0.0],
            trees: vec![vec![node, Node::Leaf(1.0)]],
        };
        assert!(broken(Node::Split(0, 1.0, 1, 1)).check().is_ok());
        assert!(broken(Node::Split(0, 1.0, 1, 2)).check().is_err());
        assert!(broken(Node::Split(0, 1.0, 0, 1)).check().is_err());
        assert!(broken(Node::Split(2, 1.0, 1, 1)).check().is_err());
    }
}
