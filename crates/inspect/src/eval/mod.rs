//! Measures the analyses on labelled folders of photographs.
//!
//! Every draw is seeded, so figures are the same wherever they are computed;
//! only times differ. Shares carry 95% confidence bounds ([`figures`]). The
//! folders' layout is checked first, and a folder that doesn't fit is refused
//! with the layout that is expected.

pub mod change;
pub mod chart;
pub mod figures;
pub mod folders;
pub mod identity;
pub mod inspection;
pub mod random;
