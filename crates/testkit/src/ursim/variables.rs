//! The RTDE fields that the simulator knows, with the types of the RTDE guide.
//!
//! Names are resolved once, when a recipe is set up; after that a field is one
//! function call. This is written apart from the driver's codec, so that the two
//! check each other.

use super::controller::Controller;

/// A field that can be read.
pub struct Output {
    /// Its type's name.
    pub kind: &'static str,
    index: usize,
    write: fn(&Controller, usize, &mut Vec<u8>),
}

impl Output {
    /// Adds the field's present value to a package.
    pub fn write(&self, controller: &Controller, package: &mut Vec<u8>) {
        (self.write)(controller, self.index, package);
    }
}

macro_rules! output {
    ($kind:literal, $read:expr) => {
        output!($kind, 0, |c: &Controller, _| ($read)(c))
    };
    ($kind:literal, $index:expr, $read:expr) => {
        Output {
            kind: $kind,
            index: $index,
            write: |controller, index, package| {
                let value = ($read)(controller, index);
                Put::put(&value, package);
            },
        }
    };
}

/// The field of a name, if there is one.
pub fn output(name: &str) -> Option<Output> {
    register(name).or_else(|| state(name)).or_else(|| constant(name))
}

fn register(name: &str) -> Option<Output> {
    let found = match split(name)? {
        ("input_int_register_", i @ ..48) => {
            output!("INT32", i, |c: &Controller, i| c.inputs.int(i))
        }
        ("output_int_register_", i @ ..48) => {
            output!("INT32", i, |c: &Controller, i| c.outputs.int(i))
        }
        ("input_double_register_", i @ ..48) => {
            output!("DOUBLE", i, |c: &Controller, i| c.inputs.double(i))
        }
        ("output_double_register_", i @ ..48) => {
            output!("DOUBLE", i, |c: &Controller, i| c.outputs.double(i))
        }
        ("input_bit_register_", i @ 64..128) => {
            output!("BOOL", i, |c: &Controller, i| c.inputs.bit(i))
        }
        ("output_bit_register_", i @ 64..128) => {
            output!("BOOL", i, |c: &Controller, i| c.outputs.bit(i))
        }
        _ => return None,
    };
    Some(found)
}

fn state(name: &str) -> Option<Output> {
    let found = match name {
        "timestamp" => output!("DOUBLE", |c: &Controller| c.time()),
        "actual_q" | "target_q" => output!("VECTOR6D", |c: &Controller| c.q),
        "actual_qd" | "target_qd" => output!("VECTOR6D", |c: &Controller| c.qd),
        "actual_current" | "target_current" | "joint_control_output" => {
            output!("VECTOR6D", |c: &Controller| c.sense.current)
        }
        "actual_TCP_pose" | "target_TCP_pose" => output!("VECTOR6D", |c: &Controller| c.pose()),
        "actual_TCP_speed" | "target_TCP_speed" => {
            output!("VECTOR6D", |c: &Controller| c.sense.speed)
        }
        "actual_TCP_force" | "ft_raw_wrench" => {
            output!("VECTOR6D", |c: &Controller| c.sense.force)
        }
        "target_moment" | "actual_current_as_torque" => {
            output!("VECTOR6D", |c: &Controller| super::arm::gravity_torque(&c.q))
        }
        "robot_mode" => output!("INT32", |c: &Controller| c.mode),
        "safety_status" | "safety_mode" => output!("INT32", |c: &Controller| c.safety),
        "runtime_state" => output!("UINT32", |c: &Controller| c.runtime),
        "robot_status_bits" => output!("UINT32", |c: &Controller| c.bits().0),
        "safety_status_bits" => output!("UINT32", |c: &Controller| c.bits().1),
        "actual_digital_output_bits" => output!("UINT64", |c: &Controller| c.digital_out),
        "target_speed_fraction" => output!("DOUBLE", |c: &Controller| c.slider),
        "output_bit_registers0_to_31" => output!("UINT32", |c: &Controller| c.outputs.word(0)),
        "output_bit_registers32_to_63" => output!("UINT32", |c: &Controller| c.outputs.word(1)),
        "input_bit_registers0_to_31" => output!("UINT32", |c: &Controller| c.inputs.word(0)),
        "input_bit_registers32_to_63" => output!("UINT32", |c: &Controller| c.inputs.word(1)),
        _ => return None,
    };
    Some(found)
}

/// Fields of parts that the simulator does not have, at plausible fixed values.
fn constant(name: &str) -> Option<Output> {
    let found = match name {
        "target_qdd" | "actual_current_window" | "tcp_offset" => {
            output!("VECTOR6D", |_: &Controller| [0.0; 6])
        }
        "joint_temperatures" => output!("VECTOR6D", |_: &Controller| [29.0; 6]),
        "actual_joint_voltage" => output!("VECTOR6D", |_: &Controller| [48.0; 6]),
        "joint_mode" => output!("VECTOR6INT32", |_: &Controller| [253i32; 6]),
        "actual_tool_accelerometer" => output!("VECTOR3D", |_: &Controller| [0.0, 0.0, 9.82]),
        "elbow_position" | "elbow_velocity" | "payload_cog" => {
            output!("VECTOR3D", |_: &Controller| [0.0; 3])
        }
        "payload_inertia" => output!("VECTOR6D", |_: &Controller| [0.0; 6]),
        "payload" => output!("DOUBLE", |_: &Controller| 0.8),
        "speed_scaling" => output!("DOUBLE", |_: &Controller| 1.0),
        "actual_execution_time"
        | "actual_momentum"
        | "tcp_force_scalar"
        | "standard_analog_input0"
        | "standard_analog_input1"
        | "standard_analog_output0"
        | "standard_analog_output1"
        | "tool_analog_input0"
        | "tool_analog_input1"
        | "tool_output_current"
        | "io_current"
        | "euromap67_24V_current" => {
            output!("DOUBLE", |_: &Controller| 0.0)
        }
        "actual_main_voltage" | "actual_robot_voltage" => output!("DOUBLE", |_: &Controller| 48.0),
        "actual_robot_current" => output!("DOUBLE", |_: &Controller| 0.6),
        "tool_temperature" => output!("DOUBLE", |_: &Controller| 29.0),
        "tool_mode" | "analog_io_types" | "tool_analog_input_types" => {
            output!("UINT32", |_: &Controller| 0u32)
        }
        "tool_output_voltage" => output!("INT32", |_: &Controller| 0i32),
        "actual_digital_input_bits" => output!("UINT64", |_: &Controller| 0u64),
        _ => return None,
    };
    Some(found)
}

/// A field that a client can write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Input {
    /// An integer register.
    Int(usize),
    /// A double register.
    Double(usize),
    /// A bit register.
    Bit(usize),
    /// Bits 0–31 or 32–63.
    Word(usize),
    /// Which of the slider's bits counts.
    SliderMask,
    /// The speed slider.
    Slider,
    /// Which standard (0), configurable (8) or tool (16) outputs are written.
    DigitalMask(u32),
    /// Standard (0), configurable (8) or tool (16) outputs.
    Digital(u32),
    /// Which of the analog outputs are written, or their kind; without effect.
    AnalogMode(u8),
    /// An analog output's level; without effect.
    Analog(u8),
}

impl Input {
    /// The field of a name, if there is one.
    pub fn named(name: &str) -> Option<Self> {
        match split(name) {
            Some(("input_int_register_", i @ ..48)) => return Some(Self::Int(i)),
            Some(("input_double_register_", i @ ..48)) => return Some(Self::Double(i)),
            Some(("input_bit_register_", i @ 64..128)) => return Some(Self::Bit(i)),
            _ => {}
        }
        match name {
            "input_bit_registers0_to_31" => Some(Self::Word(0)),
            "input_bit_registers32_to_63" => Some(Self::Word(1)),
            "speed_slider_mask" => Some(Self::SliderMask),
            "speed_slider_fraction" => Some(Self::Slider),
            "standard_digital_output_mask" => Some(Self::DigitalMask(0)),
            "standard_digital_output" => Some(Self::Digital(0)),
            "configurable_digital_output_mask" => Some(Self::DigitalMask(8)),
            "configurable_digital_output" => Some(Self::Digital(8)),
            "tool_digital_output_mask" => Some(Self::DigitalMask(16)),
            "tool_digital_output" => Some(Self::Digital(16)),
            "standard_analog_output_mask" => Some(Self::AnalogMode(0)),
            "standard_analog_output_type" => Some(Self::AnalogMode(1)),
            "standard_analog_output_0" => Some(Self::Analog(0)),
            "standard_analog_output_1" => Some(Self::Analog(1)),
            _ => None,
        }
    }

    /// Its type's name.
    pub fn kind(self) -> &'static str {
        match self {
            Self::Int(_) => "INT32",
            Self::Double(_) | Self::Slider | Self::Analog(_) => "DOUBLE",
            Self::Bit(_) => "BOOL",
            Self::Word(_) | Self::SliderMask => "UINT32",
            Self::DigitalMask(_) | Self::Digital(_) | Self::AnalogMode(_) => "UINT8",
        }
    }
}

/// Writes the values of a data package to the controller; `None` when the package
/// does not have the size of its fields (and then nothing of it is written).
pub fn apply(controller: &mut Controller, inputs: &[Input], mut bytes: &[u8]) -> Option<()> {
    let mut values = Vec::with_capacity(inputs.len());
    for input in inputs {
        let size = match input.kind() {
            "DOUBLE" => 8,
            "INT32" | "UINT32" => 4,
            _ => 1,
        };
        let (value, rest) = bytes.split_at_checked(size)?;
        values.push(value.iter().fold(0u64, |word, byte| word << 8 | u64::from(*byte)));
        bytes = rest;
    }
    if !bytes.is_empty() {
        return None;
    }
    let (mut slider, mut mask) = (true, 0);
    for (input, word) in inputs.iter().zip(values) {
        let (real, word32) = (f64::from_bits(word), word as u32);
        match *input {
            Input::Int(i) => controller.inputs.set_int(i, word32.cast_signed()),
            Input::Double(i) => controller.inputs.set_double(i, real),
            Input::Bit(i) => controller.inputs.set_bit(i, word != 0),
            Input::Word(i) => controller.inputs.set_word(i, word32),
            Input::SliderMask => slider = word != 0,
            Input::Slider if slider && real.is_finite() => controller.slider = real.clamp(0.0, 1.0),
            Input::Slider | Input::AnalogMode(_) | Input::Analog(_) => {}
            Input::DigitalMask(_) => mask = word,
            Input::Digital(shift) => {
                let old = controller.digital_out & !(mask << shift);
                controller.digital_out = old | (word & mask) << shift;
            }
        }
    }
    Some(())
}

/// A register's family and number.
fn split(name: &str) -> Option<(&str, usize)> {
    let (family, number) = name.split_at(name.rfind('_')? + 1);
    Some((family, number.parse().ok()?))
}

trait Put {
    fn put(&self, package: &mut Vec<u8>);
}

macro_rules! put {
    ($($kind:ty),+) => {
        $(impl Put for $kind {
            fn put(&self, package: &mut Vec<u8>) { package.extend(self.to_be_bytes()); }
        })+
    };
}
put!(u32, i32, u64, f64);

impl Put for bool {
    fn put(&self, package: &mut Vec<u8>) {
        package.push(u8::from(*self));
    }
}

impl<T: Put, const N: usize> Put for [T; N] {
    fn put(&self, package: &mut Vec<u8>) {
        self.iter().for_each(|value| value.put(package));
    }
}
