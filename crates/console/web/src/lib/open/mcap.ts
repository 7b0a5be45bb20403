/**
 * What a recording says: MCAP with our protocol buffers, read front to back.
 *
 * The bytes were authenticated before they come here. They are still bounded:
 * whoever keeps a cell's key may be broken too.
 */
import type { McapTypes } from "@mcap/core";
import type { Bytes } from "../verify/bytes";
import { asOpenError, OpenError } from "./errors";
import { SeriesBuilder, type Series } from "./series";
import { Wire } from "./wire";

/** The most points that a channel keeps. */
export const MAX_POINTS = 20_000;
/** The most changes of modes that are kept. */
export const MAX_CHANGES = 10_000;
/** The most pictures that are kept, and their bytes together. */
export const MAX_PICTURES = 64;
export const MAX_PICTURE_BYTES = 256 * 1024 * 1024;
/** The most bytes of one record: the largest picture with its chunk. */
const MAX_RECORD_BYTES = 64 * 1024 * 1024;
/** The most channels and schemas of one file. */
const MAX_CHANNELS = 256;
/** The most further channels of a sample. */
const MAX_EXTRA = 64;

const STATE_TOPIC = "/robot/state";
const WRENCH_TOPIC = "/robot/wrench";
const IMAGE_TOPIC = /^\/camera\/([a-z0-9][a-z0-9._-]{0,63})\/image$/;
const IDENTIFIER = /^[a-z0-9][a-z0-9._-]{0,63}$/;
const MEDIA_TYPES: Record<string, string> = { png: "image/png", jpeg: "image/jpeg" };

/** Channels of six values each. */
const SIX = ["q", "qd", "current", "tcp_pose", "tcp_force"] as const;
/** Of which the first four are fields 2 to 5 of a state. */
const FIRST_SIX = 2;
const WIDTH = SIX.length * 6 + 1;

/** A robot's state over time; angles in rad, lengths in m, currents in A, forces in N and N·m. */
export interface States {
  /** ms since 1970. */
  t: Float64Array;
  q: Float64Array[];
  qd: Float64Array[];
  current: Float64Array[];
  /** Metres, then a rotation vector. */
  tcp_pose: Float64Array[];
  tcp_force: Float64Array[];
  /** 0 to 1. */
  speed_scaling: Float64Array;
  /** Samples that were read, and samples behind two points (1: each point is a sample). */
  samples: number;
  bucket: number;
  /** What is not a curve, each time that it changed; the first at the start. */
  changes: Change[];
  /** Changes that were left out beyond {@link MAX_CHANGES}. */
  changesLeftOut: number;
}

/** States of robot and program from a time on, as the controller numbers them. */
export interface Change {
  at: number;
  mode: number;
  safety: number;
  runtime: number;
  /** The viewpoint that the program waits at; 0 is none. */
  viewpoint: number;
  token: number;
  outcome: number;
}

/**
 * One picture. Its bytes stay in memory; a `Blob` of them may be put on disk by the
 * browser, so make one only while it is shown.
 */
export interface Picture {
  /** ms since 1970. */
  at: number;
  viewpoint: number;
  camera: string;
  part: string;
  mediaType: string;
  width: number;
  height: number;
  /** The camera's pose in the base frame: metres, then a rotation vector. */
  pose: number[];
  bytes: Bytes;
}

/** The pictures of a recording. */
export interface Pictures {
  /** At most {@link MAX_PICTURES}, evenly chosen. */
  kept: Picture[];
  /** How many there are in all. */
  count: number;
}

type Message = McapTypes.TypedMcapRecords["Message"];
type Channel = McapTypes.TypedMcapRecords["Channel"];

/** What a channel declares. */
interface Declared {
  topic: string;
  /** The message's type, where it is a protocol buffer. */
  type: string | null;
}

/** Reads a file and hands each message on; returns when it has ended as a whole file does. */
async function messages(
  file: AsyncIterable<Uint8Array>,
  take: (message: Message, declared: Declared) => void,
): Promise<void> {
  const { McapStreamReader } = await import("@mcap/core");
  const reader = new McapStreamReader();
  const schemas = new Map<number, McapTypes.TypedMcapRecords["Schema"]>();
  const channels = new Map<number, Declared>();
  for await (const piece of file) {
    guarded(() => reader.append(piece));
    for (let record = guarded(() => reader.nextRecord()); record; record = guarded(() => reader.nextRecord())) {
      if (record.type === "Message") take(record, channels.get(record.channelId) ?? { topic: "", type: null });
      else if (record.type === "Schema") schemas.set(record.id, record);
      else if (record.type === "Channel") channels.set(record.id, declared(record, schemas.get(record.schemaId)));
      if (schemas.size > MAX_CHANNELS || channels.size > MAX_CHANNELS) {
        throw new OpenError("limit", `the recording has more than ${MAX_CHANNELS} channels`);
      }
    }
    if (reader.bytesRemaining() > MAX_RECORD_BYTES) {
      throw new OpenError("limit", `a record of the recording has more than ${MAX_RECORD_BYTES} bytes`);
    }
  }
  if (!reader.done()) throw new OpenError("format", "the recording is not a whole MCAP file: its end is missing");
}

function guarded<T>(act: () => T): T {
  try {
    return act();
  } catch (error) {
    throw asOpenError(error, "format", "the recording is not a whole MCAP file");
  }
}

function declared(channel: Channel, schema: { name: string; encoding: string } | undefined): Declared {
  const known = channel.messageEncoding === "protobuf" && schema?.encoding === "protobuf";
  return { topic: channel.topic, type: known ? schema.name : null };
}

function demand({ topic, type }: Declared, wanted: string): void {
  if (type !== wanted) {
    throw new OpenError("format", `topic \`${topic.slice(0, 80)}\` does not declare ${wanted} as protobuf`);
  }
}

function millis(ns: bigint): number {
  return Number(ns / 1000n) / 1000;
}

/** Reads one sample after the other into the same memory. */
class SampleReader {
  /** Six values of each of {@link SIX}, then the speed scaling. */
  readonly row = new Float64Array(WIDTH);
  readonly modes = { mode: 0, safety: 0, runtime: 0, viewpoint: 0, token: 0, outcome: 0 };
  private readonly state = new Wire("robot state");
  private readonly wrench = new Wire("force");
  private readonly extra = new Float64Array(MAX_EXTRA);
  private readonly six = SIX.map((_, i) => this.row.subarray(6 * i, 6 * i + 6));
  private readonly counts = new Int32Array(SIX.length);

  readState(bytes: Uint8Array): void {
    const { state: wire, modes, counts } = this;
    let extra = 0;
    counts.fill(0);
    modes.mode = modes.safety = modes.runtime = modes.viewpoint = modes.token = modes.outcome = 0;
    this.row[WIDTH - 1] = 0;
    wire.begin(bytes);
    while (wire.next()) {
      const { field } = wire;
      if (field >= FIRST_SIX && field < FIRST_SIX + 4) this.fill(wire, field - FIRST_SIX);
      else if (field === 6) modes.mode = wire.int32();
      else if (field === 7) modes.safety = wire.int32();
      else if (field === 8) modes.runtime = wire.int32();
      else if (field === 13) this.row[WIDTH - 1] = wire.double();
      else if (field === 14) modes.viewpoint = wire.int32();
      else if (field === 15) modes.token = wire.int32();
      else if (field === 16) modes.outcome = wire.int32();
      else if (field === 17) extra = wire.doubles(this.extra, extra);
      else wire.skip();
    }
    for (let i = 0; i < 4; i++) this.whole(wire, i);
  }

  /** Force and torque together are six values. */
  readWrench(bytes: Uint8Array): void {
    const wire = this.wrench;
    const [force, torque] = [new Float64Array(3), new Float64Array(3)];
    let [forces, torques] = [0, 0];
    wire.begin(bytes);
    while (wire.next()) {
      if (wire.field === 1) forces = wire.doubles(force, forces);
      else if (wire.field === 2) torques = wire.doubles(torque, torques);
      else wire.skip();
    }
    if (forces !== 3 || torques !== 3) throw wire.wrong("3 values of force and 3 of torque are expected");
    this.six[4]?.set(force);
    this.six[4]?.set(torque, 3);
  }

  private fill(wire: Wire, i: number): void {
    this.counts[i] = wire.doubles(this.six[i] as Float64Array, this.counts[i] as number);
  }

  private whole(wire: Wire, i: number): void {
    if (this.counts[i] !== 6) throw wire.wrong(`${this.counts[i]} values in \`${SIX[i]}\`, 6 are expected`);
  }
}

/** Collects what changes in steps. */
class Changes {
  readonly kept: Change[] = [];
  leftOut = 0;
  private last: Change | null = null;

  push(at: number, modes: Omit<Change, "at">): void {
    const { last } = this;
    const same =
      last !== null &&
      last.mode === modes.mode &&
      last.safety === modes.safety &&
      last.runtime === modes.runtime &&
      last.viewpoint === modes.viewpoint &&
      last.token === modes.token &&
      last.outcome === modes.outcome;
    if (same) return;
    this.last = { at, ...modes };
    if (this.kept.length < MAX_CHANGES) this.kept.push(this.last);
    else this.leftOut += 1;
  }
}

/** Reads a state recording of `samples` samples; more or fewer are refused. */
export async function readStates(file: AsyncIterable<Uint8Array>, samples: number): Promise<States> {
  const series = new SeriesBuilder(samples, WIDTH, MAX_POINTS);
  const sample = new SampleReader();
  const changes = new Changes();
  let read = 0;
  /** The number of the state whose force comes next. */
  let half: number | null = null;
  await messages(file, (message, channel) => {
    if (channel.topic === STATE_TOPIC) {
      if (half !== null) throw new OpenError("format", "a state without its force in the recording");
      demand(channel, "interlock.RobotState");
      sample.readState(message.data);
      half = message.sequence;
    } else if (channel.topic === WRENCH_TOPIC) {
      if (half !== message.sequence) throw new OpenError("format", "a force without its state in the recording");
      if (read === samples) throw miscounted(samples, "samples");
      demand(channel, "interlock.Wrench");
      sample.readWrench(message.data);
      half = null;
      read += 1;
      const at = millis(message.logTime);
      series.push(at, sample.row);
      changes.push(at, sample.modes);
    }
  });
  if (read !== samples || half !== null) throw miscounted(samples, "samples");
  return named(series.finish(), read, changes);
}

function named({ t, values, bucket }: Series, samples: number, changes: Changes): States {
  const six = (name: (typeof SIX)[number]) => values.slice(6 * SIX.indexOf(name), 6 * SIX.indexOf(name) + 6);
  return {
    t,
    q: six("q"),
    qd: six("qd"),
    current: six("current"),
    tcp_pose: six("tcp_pose"),
    tcp_force: six("tcp_force"),
    speed_scaling: values[WIDTH - 1] ?? new Float64Array(0),
    samples,
    bucket,
    changes: changes.kept,
    changesLeftOut: changes.leftOut,
  };
}

function miscounted(stated: number, what: string): OpenError {
  return new OpenError("format", `the manifest states ${stated} ${what}, the recording has more or fewer`);
}

/**
 * Reads a camera recording of `count` pictures; more or fewer are refused. `seen` is
 * told each picture that is kept, as it comes.
 */
export async function readPictures(
  file: AsyncIterable<Uint8Array>,
  count: number,
  seen: (picture: Picture) => void = () => undefined,
): Promise<Pictures> {
  const every = Math.max(1, Math.ceil(count / MAX_PICTURES));
  const kept: Picture[] = [];
  let [read, room] = [0, MAX_PICTURE_BYTES];
  await messages(file, (message, channel) => {
    const topic = IMAGE_TOPIC.exec(channel.topic);
    if (topic === null) return;
    if (read === count) throw miscounted(count, "pictures");
    demand(channel, "interlock.PartImage");
    const picture = readPicture(message, topic[1] ?? "");
    if (read % every === 0 && picture.bytes.length <= room) {
      // The message shares its memory with nothing else, so nothing is copied.
      kept.push(picture);
      room -= picture.bytes.length;
      seen(picture);
    }
    read += 1;
  });
  if (read !== count) throw miscounted(count, "pictures");
  return { kept, count };
}

const PICTURE = new Wire("picture");

function readPicture(message: Message, camera: string): Picture {
  const pose = new Float64Array(6);
  const picture = { camera: "", part: "", format: "", viewpoint: 0, width: 0, height: 0 };
  let [poses, bytes] = [0, new Uint8Array(0)];
  PICTURE.begin(message.data);
  while (PICTURE.next()) {
    if (PICTURE.field === 1) picture.camera = PICTURE.text();
    else if (PICTURE.field === 2) picture.part = PICTURE.text();
    else if (PICTURE.field === 3) picture.viewpoint = PICTURE.uint32();
    else if (PICTURE.field === 4) poses = PICTURE.doubles(pose, poses);
    else if (PICTURE.field === 6) picture.format = PICTURE.text();
    else if (PICTURE.field === 7) picture.width = PICTURE.uint32();
    else if (PICTURE.field === 8) picture.height = PICTURE.uint32();
    else if (PICTURE.field === 9) bytes = PICTURE.raw() as Bytes;
    else PICTURE.skip();
  }
  const mediaType = MEDIA_TYPES[picture.format];
  if (mediaType === undefined) throw PICTURE.wrong(`format \`${picture.format.slice(0, 40)}\`, png or jpeg is expected`);
  if (picture.camera !== camera) throw PICTURE.wrong("it is of another camera than its topic");
  if (!IDENTIFIER.test(picture.part)) throw PICTURE.wrong("its part is not an identifier");
  if (poses !== 6) throw PICTURE.wrong(`${poses} values in \`pose\`, 6 are expected`);
  const { part, viewpoint, width, height } = picture;
  const at = millis(message.logTime);
  return { at, viewpoint, camera, part, mediaType, width, height, pose: [...pose], bytes };
}

/** A picture as something that can be shown; make it late and drop it soon. */
export function asBlob(picture: Picture): Blob {
  return new Blob([picture.bytes], { type: picture.mediaType });
}
