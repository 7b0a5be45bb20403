//! The RTDE fields that the driver reads and the registers that it writes.
//!
//! The recipe is fixed, so a sample is decoded straight from its bytes; the types
//! a controller answers with are compared once, when the recipe is set up.
//! Registers 24 to 47 are those that UR reserves for RTDE clients. Input registers
//! are read back as outputs, so that a start can see its parameters arrive in the
//! controller before the program is played.

use super::rtde::{CodecError, Fields, Recipe};
use crate::{launch::MAX_PARAMETERS, sample::Sample};
use bytes::Bytes;

/// How many input registers the driver writes.
pub(crate) const INPUT_COUNT: usize = MAX_PARAMETERS + 2;

/// The registers written: parameters 24–31, the acknowledged viewpoint 36, the
/// order token 37.
pub(crate) const INPUTS: [&str; INPUT_COUNT] = [
    "input_int_register_24",
    "input_int_register_25",
    "input_int_register_26",
    "input_int_register_27",
    "input_int_register_28",
    "input_int_register_29",
    "input_int_register_30",
    "input_int_register_31",
    "input_int_register_36",
    "input_int_register_37",
];

/// Values for [`INPUTS`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Inputs {
    pub(crate) parameters: [i32; MAX_PARAMETERS],
    pub(crate) captured: i32,
    pub(crate) token: i32,
}

impl Inputs {
    /// The values in the order of [`INPUTS`].
    pub(crate) fn values(&self) -> [i32; INPUT_COUNT] {
        let [a, b, c, d, e, f, g, h] = self.parameters;
        [a, b, c, d, e, f, g, h, self.captured, self.token]
    }
}

/// The fields read, with their types, in the order of [`sample`].
pub(crate) const OUTPUTS: [(&str, &str); 18 + INPUT_COUNT] = [
    ("timestamp", "DOUBLE"),
    ("actual_q", "VECTOR6D"),
    ("actual_qd", "VECTOR6D"),
    ("actual_current", "VECTOR6D"),
    ("actual_TCP_pose", "VECTOR6D"),
    ("actual_TCP_force", "VECTOR6D"),
    ("robot_mode", "INT32"),
    ("safety_status", "INT32"),
    ("runtime_state", "UINT32"),
    ("robot_status_bits", "UINT32"),
    ("safety_status_bits", "UINT32"),
    ("actual_digital_input_bits", "UINT64"),
    ("actual_digital_output_bits", "UINT64"),
    ("speed_scaling", "DOUBLE"),
    ("target_speed_fraction", "DOUBLE"),
    ("output_int_register_24", "INT32"),
    ("output_int_register_25", "INT32"),
    ("output_int_register_26", "INT32"),
    ("input_int_register_24", "INT32"),
    ("input_int_register_25", "INT32"),
    ("input_int_register_26", "INT32"),
    ("input_int_register_27", "INT32"),
    ("input_int_register_28", "INT32"),
    ("input_int_register_29", "INT32"),
    ("input_int_register_30", "INT32"),
    ("input_int_register_31", "INT32"),
    ("input_int_register_36", "INT32"),
    ("input_int_register_37", "INT32"),
];

/// Decodes one sample of the [`OUTPUTS`] recipe.
pub(crate) fn sample(fields: Bytes, session: u32, host_ns: u64) -> Result<Sample, CodecError> {
    let mut f = Fields(fields);
    let mut sample = Sample {
        session,
        host_ns,
        controller_time: f.f64()?,
        q: f.vector6()?,
        qd: f.vector6()?,
        current: f.vector6()?,
        tcp_pose: f.vector6()?,
        tcp_force: f.vector6()?,
        robot_mode: f.i32()?.into(),
        safety: f.i32()?.into(),
        runtime: f.u32()?.cast_signed().into(),
        robot_bits: f.u32()?,
        safety_bits: f.u32()?,
        digital_in: f.u64()?,
        digital_out: f.u64()?,
        speed_scaling: f.f64()? * f.f64()?,
        viewpoint: f.i32()?,
        token: f.i32()?,
        outcome: f.i32()?,
        inputs: [0; INPUT_COUNT],
    };
    for input in &mut sample.inputs {
        *input = f.i32()?;
    }
    f.end()?;
    Ok(sample)
}

/// Checks a controller's answer to a recipe against what was asked for.
///
/// # Errors
/// The field that is unknown, held by another client, or of another type.
pub(crate) fn check<'a>(
    asked: impl ExactSizeIterator<Item = (&'a str, &'a str)>,
    reply: &Recipe,
) -> Result<(), String> {
    if asked.len() != reply.types.len() {
        return Err(format!("{} fields asked for, {} answered", asked.len(), reply.types.len()));
    }
    for ((name, wanted), found) in asked.zip(&reply.types) {
        match found.as_str() {
            "NOT_FOUND" => return Err(format!("the controller does not know `{name}`")),
            "IN_USE" => return Err(format!("another client holds `{name}`")),
            found if found != wanted => {
                return Err(format!("`{name}` is `{found}`, `{wanted}` is expected"));
            }
            _ => {}
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reply(types: &[&str]) -> Recipe {
        Recipe { id: 1, types: types.iter().map(|t| (*t).to_owned()).collect() }
    }

    #[test]
    fn a_recipe_is_checked_field_by_field() {
        let asked = || [("a", "DOUBLE"), ("b", "INT32")].into_iter();
        assert_eq!(check(asked(), &reply(&["DOUBLE", "INT32"])), Ok(()));
        for (types, words) in [
            (&["DOUBLE", "NOT_FOUND"][..], "does not know `b`"),
            (&["DOUBLE", "IN_USE"], "another client holds `b`"),
            (&["DOUBLE", "UINT32"], "`b` is `UINT32`"),
            (&["DOUBLE"], "2 fields asked for, 1 answered"),
        ] {
            let error = check(asked(), &reply(types));
            assert!(error.as_ref().is_err_and(|e| e.contains(words)), "{error:?}");
        }
    }

    #[test]
    fn a_sample_has_exactly_the_size_of_its_recipe() {
        let size = |t: &str| match t {
            "VECTOR6D" => 48,
            "DOUBLE" | "UINT64" => 8,
            _ => 4,
        };
        let bytes: usize = OUTPUTS.iter().map(|(_, t)| size(t)).sum();
        assert!(sample(vec![0; bytes].into(), 1, 0).is_ok());
        assert!(sample(vec![0; bytes - 1].into(), 1, 0).is_err());
        assert!(sample(vec![0; bytes + 1].into(), 1, 0).is_err());
    }
}
