//! What a recording holds, as Rust values and as protocol buffers.
//!
//! MCAP carries a schema with each channel. Ours are protocol buffers with their
//! `FileDescriptorSet`, the encoding that MCAP's own tools and viewers read
//! without a line of code from us; 64 channels take some 530 bytes. Field numbers are
//! never used anew.

use crate::camera::{Encoding, Image};
use base::Id;
use prost::Message;
use prost_types::{
    DescriptorProto, FieldDescriptorProto, FileDescriptorProto, FileDescriptorSet,
    field_descriptor_proto::{Label, Type},
};

/// The most further channels that a sample may have.
pub const MAX_EXTRA: usize = 64;

/// The state of a robot at one moment.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct StateSample {
    /// The host's clock when the sample was read, ns since the Unix epoch.
    pub host_ns: u64,
    /// The controller's clock, ns since it started.
    pub controller_ns: u64,
    /// Counts reconnections: the controller's clock may start anew where it changes.
    pub session: u32,
    /// Joint positions, rad.
    pub q: [f64; 6],
    /// Joint speeds, rad/s.
    pub qd: [f64; 6],
    /// Joint motor currents, A.
    pub current: [f64; 6],
    /// Tool centre point in the base frame: metres, then a rotation vector in rad.
    pub tcp_pose: [f64; 6],
    /// Force (N) and torque (Nm) at the tool centre point, in the base frame.
    pub tcp_force: [f64; 6],
    /// Power state of the arm, as the controller numbers it.
    pub robot_mode: i32,
    /// State of the safety system, as the controller numbers it.
    pub safety: i32,
    /// State of the program interpreter, as the controller numbers it.
    pub runtime: i32,
    /// The controller's status bits.
    pub robot_bits: u32,
    /// The safety system's status bits.
    pub safety_bits: u32,
    /// Digital inputs.
    pub digital_in: u64,
    /// Digital outputs.
    pub digital_out: u64,
    /// Speed scaling in force, 0 to 1.
    pub speed_scaling: f64,
    /// The viewpoint that the program waits at; 0 is none.
    pub viewpoint: i32,
    /// The order token that the program has taken up.
    pub token: i32,
    /// How the program ended.
    pub outcome: i32,
    /// Further channels, at most `MAX_EXTRA`; their meaning is the source's.
    pub extra: Vec<f64>,
}

/// One picture of a part, with where it was taken from.
#[derive(Clone, Debug, PartialEq)]
pub struct ImageMessage {
    /// The camera.
    pub camera: Id,
    /// The part that was announced to the camera.
    pub part: Id,
    /// The viewpoint of the scan program.
    pub viewpoint: u32,
    /// The camera's pose in the base frame: metres, then a rotation vector in rad.
    pub pose: [f64; 6],
    /// The number of the part's scan, from 0.
    pub seq: u64,
    /// The controller's clock when the picture was asked for, ns.
    pub controller_ns: u64,
    /// The picture, with the host's time.
    pub image: Image,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct RobotState {
    #[prost(uint32, tag = "1")]
    session: u32,
    #[prost(double, repeated, tag = "2")]
    q: Vec<f64>,
    #[prost(double, repeated, tag = "3")]
    qd: Vec<f64>,
    #[prost(double, repeated, tag = "4")]
    current: Vec<f64>,
    #[prost(double, repeated, tag = "5")]
    tcp_pose: Vec<f64>,
    #[prost(int32, tag = "6")]
    robot_mode: i32,
    #[prost(int32, tag = "7")]
    safety: i32,
    #[prost(int32, tag = "8")]
    runtime: i32,
    #[prost(uint32, tag = "9")]
    robot_bits: u32,
    #[prost(uint32, tag = "10")]
    safety_bits: u32,
    #[prost(uint64, tag = "11")]
    digital_in: u64,
    #[prost(uint64, tag = "12")]
    digital_out: u64,
    #[prost(double, tag = "13")]
    speed_scaling: f64,
    #[prost(int32, tag = "14")]
    viewpoint: i32,
    #[prost(int32, tag = "15")]
    token: i32,
    #[prost(int32, tag = "16")]
    outcome: i32,
    #[prost(double, repeated, tag = "17")]
    extra: Vec<f64>,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct Wrench {
    #[prost(double, repeated, tag = "1")]
    force: Vec<f64>,
    #[prost(double, repeated, tag = "2")]
    torque: Vec<f64>,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct PartImage {
    #[prost(string, tag = "1")]
    camera: String,
    #[prost(string, tag = "2")]
    part: String,
    #[prost(uint32, tag = "3")]
    viewpoint: u32,
    #[prost(double, repeated, tag = "4")]
    pose: Vec<f64>,
    #[prost(uint64, tag = "5")]
    seq: u64,
    #[prost(string, tag = "6")]
    format: String,
    #[prost(uint32, tag = "7")]
    width: u32,
    #[prost(uint32, tag = "8")]
    height: u32,
    #[prost(bytes = "vec", tag = "9")]
    data: Vec<u8>,
}

/// A message type with its name and its self-description.
pub(crate) trait Described: Message + Default {
    /// The full name, as MCAP's schema name.
    const NAME: &'static str;
    /// Names and types of the fields, in the order of their numbers from 1.
    const FIELDS: &'static [(&'static str, Type, Label)];

    /// The serialised `FileDescriptorSet`.
    fn schema() -> Vec<u8> {
        let field =
            |(number, (name, kind, label)): (i32, &(&str, Type, Label))| FieldDescriptorProto {
                name: Some((*name).to_owned()),
                number: Some(number),
                label: Some(*label as i32),
                r#type: Some(*kind as i32),
                ..Default::default()
            };
        let (package, name) = Self::NAME.rsplit_once('.').unwrap_or(("", Self::NAME));
        let message = DescriptorProto {
            name: Some(name.to_owned()),
            field: (1..).zip(Self::FIELDS).map(field).collect(),
            ..Default::default()
        };
        let file = FileDescriptorProto {
            name: Some(format!("{}.proto", Self::NAME)),
            package: Some(package.to_owned()),
            message_type: vec![message],
            syntax: Some("proto3".to_owned()),
            ..Default::default()
        };
        FileDescriptorSet { file: vec![file] }.encode_to_vec()
    }
}

impl Described for RobotState {
    const NAME: &'static str = "interlock.RobotState";
    const FIELDS: &'static [(&'static str, Type, Label)] = &[
        ("session", Type::Uint32, Label::Optional),
        ("q", Type::Double, Label::Repeated),
        ("qd", Type::Double, Label::Repeated),
        ("current", Type::Double, Label::Repeated),
        ("tcp_pose", Type::Double, Label::Repeated),
        ("robot_mode", Type::Int32, Label::Optional),
        ("safety", Type::Int32, Label::Optional),
        ("runtime", Type::Int32, Label::Optional),
        ("robot_bits", Type::Uint32, Label::Optional),
        ("safety_bits", Type::Uint32, Label::Optional),
        ("digital_in", Type::Uint64, Label::Optional),
        ("digital_out", Type::Uint64, Label::Optional),
        ("speed_scaling", Type::Double, Label::Optional),
        ("viewpoint", Type::Int32, Label::Optional),
        ("token", Type::Int32, Label::Optional),
        ("outcome", Type::Int32, Label::Optional),
        ("extra", Type::Double, Label::Repeated),
    ];
}

impl Described for Wrench {
    const NAME: &'static str = "interlock.Wrench";
    const FIELDS: &'static [(&'static str, Type, Label)] =
        &[("force", Type::Double, Label::Repeated), ("torque", Type::Double, Label::Repeated)];
}

impl Described for PartImage {
    const NAME: &'static str = "interlock.PartImage";
    const FIELDS: &'static [(&'static str, Type, Label)] = &[
        ("camera", Type::String, Label::Optional),
        ("part", Type::String, Label::Optional),
        ("viewpoint", Type::Uint32, Label::Optional),
        ("pose", Type::Double, Label::Repeated),
        ("seq", Type::Uint64, Label::Optional),
        ("format", Type::String, Label::Optional),
        ("width", Type::Uint32, Label::Optional),
        ("height", Type::Uint32, Label::Optional),
        ("data", Type::Bytes, Label::Optional),
    ];
}

impl From<&StateSample> for RobotState {
    fn from(s: &StateSample) -> Self {
        Self {
            session: s.session,
            q: s.q.to_vec(),
            qd: s.qd.to_vec(),
            current: s.current.to_vec(),
            tcp_pose: s.tcp_pose.to_vec(),
            robot_mode: s.robot_mode,
            safety: s.safety,
            runtime: s.runtime,
            robot_bits: s.robot_bits,
            safety_bits: s.safety_bits,
            digital_in: s.digital_in,
            digital_out: s.digital_out,
            speed_scaling: s.speed_scaling,
            viewpoint: s.viewpoint,
            token: s.token,
            outcome: s.outcome,
            extra: s.extra.clone(),
        }
    }
}

impl From<&StateSample> for Wrench {
    fn from(s: &StateSample) -> Self {
        let (force, torque) = s.tcp_force.split_at(3);
        Self { force: force.to_vec(), torque: torque.to_vec() }
    }
}

/// The sample in two messages of the same moment.
pub(crate) fn sample(
    host_ns: u64,
    controller_ns: u64,
    state: RobotState,
    wrench: &Wrench,
) -> Result<StateSample, String> {
    if state.extra.len() > MAX_EXTRA {
        return Err(format!("{} extra channels, at most {MAX_EXTRA}", state.extra.len()));
    }
    let force = [wrench.force.as_slice(), &wrench.torque].concat();
    Ok(StateSample {
        host_ns,
        controller_ns,
        session: state.session,
        q: six("q", &state.q)?,
        qd: six("qd", &state.qd)?,
        current: six("current", &state.current)?,
        tcp_pose: six("tcp_pose", &state.tcp_pose)?,
        tcp_force: six("force and torque", &force)?,
        robot_mode: state.robot_mode,
        safety: state.safety,
        runtime: state.runtime,
        robot_bits: state.robot_bits,
        safety_bits: state.safety_bits,
        digital_in: state.digital_in,
        digital_out: state.digital_out,
        speed_scaling: state.speed_scaling,
        viewpoint: state.viewpoint,
        token: state.token,
        outcome: state.outcome,
        extra: state.extra,
    })
}

fn six(what: &str, values: &[f64]) -> Result<[f64; 6], String> {
    values.try_into().map_err(|_| format!("{} values in `{what}`, 6 are expected", values.len()))
}

impl From<&ImageMessage> for PartImage {
    fn from(m: &ImageMessage) -> Self {
        Self {
            camera: m.camera.to_string(),
            part: m.part.to_string(),
            viewpoint: m.viewpoint,
            pose: m.pose.to_vec(),
            seq: m.seq,
            format: m.image.encoding.name().to_owned(),
            width: m.image.width,
            height: m.image.height,
            data: m.image.bytes.clone(),
        }
    }
}

/// The picture in a message.
pub(crate) fn picture(
    host_ns: u64,
    controller_ns: u64,
    m: PartImage,
) -> Result<ImageMessage, String> {
    let encoding = Encoding::from_name(&m.format)
        .ok_or_else(|| format!("format `{}`, png or jpeg is expected", m.format))?;
    Ok(ImageMessage {
        camera: m.camera.parse().map_err(|e| format!("camera: {e}"))?,
        part: m.part.parse().map_err(|e| format!("part: {e}"))?,
        viewpoint: m.viewpoint,
        pose: six("pose", &m.pose)?,
        seq: m.seq,
        controller_ns,
        image: Image { bytes: m.data, encoding, width: m.width, height: m.height, host_ns },
    })
}
