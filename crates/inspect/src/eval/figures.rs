//! What scores of genuine and impostor pairs say: ROC, equal error rate, d′, and
//! how sure one can be.
//!
//! A proportion's bounds are Clopper–Pearson's, exact for independent trials and
//! never too narrow for their number. Pairs that share a photograph are not
//! independent, so true bounds are somewhat wider; the number of photographs and
//! parts stands beside the figures for that reason.

use super::random::Random;
use serde::Serialize;

/// A share with its 95% confidence bounds.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Share {
    /// How many.
    pub count: usize,
    /// Of how many.
    pub of: usize,
    /// The share; 0 of nothing is 0.
    pub value: f64,
    /// Lower and upper Clopper–Pearson bound.
    pub ci95: [f64; 2],
}

impl Share {
    /// `count` of `of`.
    pub fn new(count: usize, of: usize) -> Self {
        let value = if of == 0 { 0.0 } else { count as f64 / of as f64 };
        Self { count, of, value, ci95: clopper_pearson(count, of) }
    }
}

/// One point of a ROC: what happens when scores of at least `threshold` are accepted.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct RocPoint {
    /// Accepted from here on.
    pub threshold: f64,
    /// Share of impostors accepted.
    pub far: f64,
    /// Share of genuine refused.
    pub frr: f64,
}

/// The figures of one set of scores.
#[derive(Clone, Debug, Serialize)]
pub struct Figures {
    /// Equal error rate.
    pub eer: f64,
    /// Bounds of the equal error rate: the wider of both error rates' bounds there.
    pub eer_ci95: [f64; 2],
    /// Impostors accepted when every genuine pair is.
    pub far_at_frr_0: Share,
    /// Impostors accepted when at most 1% of genuine pairs is refused.
    pub far_at_frr_1pct: Share,
    /// Distance of the two means in units of their pooled deviation.
    pub d_prime: f64,
    /// Bootstrap bounds of d′.
    pub d_prime_ci95: [f64; 2],
    /// Genuine pairs.
    pub genuine: usize,
    /// Impostor pairs.
    pub impostor: usize,
    /// The fixed threshold that a product would use.
    pub threshold: f64,
    /// Impostors accepted at the fixed threshold.
    pub far: Share,
    /// Genuine refused at the fixed threshold.
    pub frr: Share,
    /// The lowest genuine score.
    pub lowest_genuine: f64,
    /// The highest impostor score.
    pub highest_impostor: f64,
}

/// The figures of scores, higher meaning more alike.
pub fn figures(genuine: &[f64], impostor: &[f64], threshold: f64) -> Figures {
    let accepted = |t: f64| impostor.iter().filter(|&&s| s >= t).count();
    let refused = |t: f64| genuine.iter().filter(|&&s| s < t).count();
    let roc = roc(genuine, impostor);
    let (eer, at) = equal_error(&roc);
    let (far, frr) =
        (Share::new(accepted(at), impostor.len()), Share::new(refused(at), genuine.len()));
    let mut sorted = genuine.to_vec();
    sorted.sort_by(f64::total_cmp);
    let lowest = sorted.first().copied().unwrap_or(f64::NAN);
    let one_percent = sorted.get(genuine.len() / 100).copied().unwrap_or(f64::NAN);
    Figures {
        eer,
        eer_ci95: [far.ci95[0].min(frr.ci95[0]), far.ci95[1].max(frr.ci95[1])],
        far_at_frr_0: Share::new(accepted(lowest), impostor.len()),
        far_at_frr_1pct: Share::new(accepted(one_percent), impostor.len()),
        d_prime: d_prime(genuine, impostor),
        d_prime_ci95: bootstrap(genuine, impostor, 400, d_prime),
        genuine: genuine.len(),
        impostor: impostor.len(),
        threshold,
        far: Share::new(accepted(threshold), impostor.len()),
        frr: Share::new(refused(threshold), genuine.len()),
        lowest_genuine: lowest,
        highest_impostor: impostor.iter().copied().fold(f64::NAN, f64::max),
    }
}

/// The ROC, from accepting everything to accepting nothing.
pub fn roc(genuine: &[f64], impostor: &[f64]) -> Vec<RocPoint> {
    let mut all: Vec<(f64, bool)> =
        genuine.iter().map(|&s| (s, true)).chain(impostor.iter().map(|&s| (s, false))).collect();
    all.sort_by(|a, b| a.0.total_cmp(&b.0));
    let share = |n: usize, of: usize| n as f64 / of.max(1) as f64;
    let (mut refused, mut accepted) = (0, impostor.len());
    let mut points = Vec::with_capacity(all.len() + 1);
    let mut last = f64::NEG_INFINITY;
    for (score, is_genuine) in all {
        if score > last {
            points.push(RocPoint {
                threshold: score,
                far: share(accepted, impostor.len()),
                frr: share(refused, genuine.len()),
            });
            last = score;
        }
        if is_genuine {
            refused += 1;
        } else {
            accepted -= 1;
        }
    }
    points.push(RocPoint {
        threshold: last.next_up(),
        far: 0.0,
        frr: share(refused, genuine.len()),
    });
    points
}

/// The rate at which both errors are equal, and the threshold nearest to it.
fn equal_error(roc: &[RocPoint]) -> (f64, f64) {
    let gap = |p: &&RocPoint| (p.far - p.frr).abs();
    roc.iter()
        .min_by(|a, b| gap(a).total_cmp(&gap(b)).then((a.far + a.frr).total_cmp(&(b.far + b.frr))))
        .map_or((f64::NAN, f64::NAN), |p| ((p.far + p.frr) / 2.0, p.threshold))
}

/// Distance of two means in units of the pooled deviation.
pub fn d_prime(genuine: &[f64], impostor: &[f64]) -> f64 {
    let ((mg, vg), (mi, vi)) = (moments(genuine), moments(impostor));
    (mg - mi) / ((vg + vi) / 2.0).sqrt().max(f64::MIN_POSITIVE)
}

fn moments(values: &[f64]) -> (f64, f64) {
    let n = values.len().max(1) as f64;
    let mean = values.iter().sum::<f64>() / n;
    (mean, values.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / n)
}

/// Percentile bootstrap bounds (95%) of a statistic of two samples, seeded.
pub fn bootstrap(
    a: &[f64],
    b: &[f64],
    rounds: usize,
    statistic: impl Fn(&[f64], &[f64]) -> f64,
) -> [f64; 2] {
    let mut random = Random::new(95);
    let mut draw = |from: &[f64]| -> Vec<f64> {
        (0..from.len()).filter_map(|_| from.get(random.below(from.len())).copied()).collect()
    };
    let mut values: Vec<f64> = (0..rounds)
        .map(|_| {
            let (x, y) = (draw(a), draw(b));
            statistic(&x, &y)
        })
        .collect();
    values.sort_by(f64::total_cmp);
    let at = |q: f64| values.get((q * rounds as f64) as usize).copied().unwrap_or(f64::NAN);
    [at(0.025), at(0.975)]
}

/// Exact 95% bounds of a proportion (Clopper and Pearson, 1934).
pub fn clopper_pearson(count: usize, of: usize) -> [f64; 2] {
    if of == 0 {
        return [0.0, 1.0];
    }
    let (k, n) = (count.min(of) as f64, of as f64);
    let low = if count == 0 { 0.0 } else { beta_quantile(k, n - k + 1.0, 0.025) };
    let high = if count >= of { 1.0 } else { beta_quantile(k + 1.0, n - k, 0.975) };
    [low, high]
}

fn beta_quantile(a: f64, b: f64, probability: f64) -> f64 {
    let (mut low, mut high) = (0.0, 1.0);
    for _ in 0..60 {
        let middle = 0.5 * (low + high);
        if incomplete_beta(a, b, middle) < probability {
            low = middle;
        } else {
            high = middle;
        }
    }
    0.5 * (low + high)
}

/// The regularised incomplete beta function by Lentz's continued fraction
/// (Numerical Recipes, 6.4).
fn incomplete_beta(a: f64, b: f64, x: f64) -> f64 {
    if x <= 0.0 || x >= 1.0 {
        return x.clamp(0.0, 1.0);
    }
    if x > (a + 1.0) / (a + b + 2.0) {
        return 1.0 - incomplete_beta(b, a, 1.0 - x);
    }
    let front = (ln_gamma(a + b) - ln_gamma(a) - ln_gamma(b) + a * x.ln() + b * (-x).ln_1p()).exp();
    let safe = |v: f64| if v.abs() < 1e-300 { 1e-300 } else { v };
    let (mut c, mut d) = (1.0, 1.0 / safe(1.0 - (a + b) * x / (a + 1.0)));
    let mut fraction = d;
    for m in 1..500 {
        let m = f64::from(m);
        let even = m * (b - m) * x / ((a + 2.0 * m - 1.0) * (a + 2.0 * m));
        d = 1.0 / safe(1.0 + even * d);
        c = safe(1.0 + even / c);
        fraction *= c * d;
        let odd = -(a + m) * (a + b + m) * x / ((a + 2.0 * m) * (a + 2.0 * m + 1.0));
        d = 1.0 / safe(1.0 + odd * d);
        c = safe(1.0 + odd / c);
        fraction *= c * d;
        if (c * d - 1.0).abs() < 1e-14 {
            break;
        }
    }
    front * fraction / a
}

/// ln Γ(x) for x > 0 (Stirling's series, shifted to where it is exact enough).
fn ln_gamma(x: f64) -> f64 {
    let mut shift = 0.0;
    let mut x = x;
    while x < 10.0 {
        shift += x.ln();
        x += 1.0;
    }
    let series = 1.0 / (12.0 * x) - 1.0 / (360.0 * x.powi(3)) + 1.0 / (1260.0 * x.powi(5));
    (x - 0.5) * x.ln() - x + 0.5 * (2.0 * std::f64::consts::PI).ln() + series - shift
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]
mod tests {
    use super::*;

    #[test]
    fn bounds_agree_with_published_ones() {
        // R: binom.test(0, 5349), binom.test(5, 100), binom.test(100, 100).
        let near = |got: [f64; 2], want: [f64; 2]| {
            assert!((got[0] - want[0]).abs() < 1e-5 && (got[1] - want[1]).abs() < 1e-5, "{got:?}");
        };
        near(clopper_pearson(0, 5349), [0.0, 0.000_689_4]);
        near(clopper_pearson(5, 100), [0.016_432, 0.112_835]);
        near(clopper_pearson(100, 100), [0.963_783, 1.0]);
    }

    #[test]
    fn separated_scores_have_no_error_and_mixed_ones_do() {
        let f = figures(&[5.0, 6.0, 7.0], &[1.0, 2.0, 3.0, 4.0], 4.5);
        assert_eq!((f.eer, f.far_at_frr_0.value, f.far.value, f.frr.value), (0.0, 0.0, 0.0, 0.0));
        assert!(f.eer_ci95[1] > 0.4, "three pairs prove little: {:?}", f.eer_ci95);
        let f = figures(&[1.0, 3.0, 5.0, 7.0], &[0.0, 2.0, 4.0, 6.0], 3.5);
        assert_eq!((f.eer, f.far.count, f.frr.count), (0.5, 2, 2));
        assert_eq!(f.far_at_frr_0.count, 3);
    }

    #[test]
    fn d_prime_counts_deviations() {
        let (g, i) = ([9.0, 11.0], [-1.0, 1.0]);
        assert!((d_prime(&g, &i) - 10.0).abs() < 1e-12);
    }
}
