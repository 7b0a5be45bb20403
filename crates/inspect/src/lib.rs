//! Identity and inspection of parts from photographs.
//!
//! Two analyses stand behind one trait, [`Analysis`], which learned models join
//! later: [`identity`] answers "is this the very part that was enrolled?" from
//! the texture of its surface, [`inspection`] answers "where does this part
//! differ from its template, and how?". Both are pure functions of photographs
//! held in memory: no file, clock or random source. Results are deterministic,
//! so a report can be checked by computing it again; [`Analysis::program`] names
//! the version and every parameter that the result depends on.
//!
//! What it stands on: [`Plane`] (one channel of 32-bit samples), [`Transform`]
//! (plane projective maps), [`Fft2`] (real two-dimensional spectra) and
//! [`Canvas`] (pictures that explain a finding). [`eval`] measures the analyses
//! on labelled folders, with confidence bounds.
//!
//! Failure: bytes that are no photograph, or too many pixels, are refused before
//! they are allocated ([`ImageError`]); a photograph that carries too little to
//! decide is not an error but [`Verdict::Undetermined`].

mod analysis;
mod canvas;
pub mod eval;
mod filter;
pub mod identity;
pub mod inspection;
mod plane;
mod spectrum;
mod transform;

pub use analysis::{Analysis, AnalysisError, Finding, Input, Photograph, Picture, Verdict};
pub use canvas::Canvas;
pub use plane::{ImageError, MAX_PIXELS, MIN_SIDE, Plane};
pub use rustfft::num_complex::Complex32;
pub use spectrum::{Fft2, Spectrum, SpectrumError};
pub use transform::Transform;
