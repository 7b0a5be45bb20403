/**
 * Reading protocol buffers (proto3), only as far as our recordings need them. One
 * object goes through many messages, so that half a million samples make no
 * garbage.
 */
import { OpenError } from "./errors";

const TEXT = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

/** Wire types. */
export const VARINT = 0;
export const FIXED64 = 1;
export const BYTES = 2;
const FIXED32 = 5;

/** A cursor over one message. */
export class Wire {
  private bytes = new Uint8Array(0);
  private view: DataView<ArrayBufferLike> = new DataView(this.bytes.buffer);
  private at = 0;
  /** Whether the integer read last has bits above the 32nd. */
  private high = false;
  /** The current field's number. */
  field = 0;
  /** Its wire type. */
  type = 0;

  /** `what` names the message in errors. */
  constructor(private readonly what: string) {}

  /** Begins a message. */
  begin(bytes: Uint8Array): void {
    this.bytes = bytes as Uint8Array<ArrayBuffer>;
    this.view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    this.at = 0;
  }

  /** Goes to the next field; false at the end. Its value must then be read or skipped. */
  next(): boolean {
    if (this.at === this.bytes.length) return false;
    const tag = this.small();
    this.field = tag >>> 3;
    this.type = tag & 7;
    if (this.field === 0) throw this.wrong("a field has number 0");
    return true;
  }

  /** The value as a signed 32-bit integer. */
  int32(): number {
    this.demand(VARINT);
    return this.low() | 0;
  }

  /** The value as an unsigned 32-bit integer. */
  uint32(): number {
    this.demand(VARINT);
    return this.small();
  }

  double(): number {
    this.demand(FIXED64);
    return this.view.getFloat64(this.step(8), true);
  }

  /** Appends the value's doubles, packed or single, to `into`; returns how many there are now. */
  doubles(into: Float64Array, count: number): number {
    const length = this.type === BYTES ? this.small() : 8;
    if (this.type !== BYTES) this.demand(FIXED64);
    if (length % 8 !== 0) throw this.wrong("packed numbers are cut");
    const start = this.step(length);
    if (count + length / 8 > into.length) throw this.wrong(`more than ${into.length} values in field ${this.field}`);
    for (let i = 0; i < length; i += 8) into[count++] = this.view.getFloat64(start + i, true);
    return count;
  }

  /** The value's bytes, not copied. */
  raw(): Uint8Array {
    this.demand(BYTES);
    const length = this.small();
    const start = this.step(length);
    return this.bytes.subarray(start, start + length);
  }

  text(): string {
    const bytes = this.raw();
    try {
      return TEXT.decode(bytes);
    } catch {
      throw this.wrong(`field ${this.field} is not UTF-8`);
    }
  }

  /** Steps over the value. */
  skip(): void {
    if (this.type === VARINT) this.low();
    else if (this.type === FIXED64) this.step(8);
    else if (this.type === BYTES) this.step(this.small());
    else if (this.type === FIXED32) this.step(4);
    else throw this.wrong(`field ${this.field} has wire type ${this.type}`);
  }

  wrong(reason: string): OpenError {
    return new OpenError("format", `not a ${this.what}: ${reason}`);
  }

  private demand(type: number): void {
    if (this.type !== type) throw this.wrong(`field ${this.field} has wire type ${this.type}`);
  }

  /** Steps over `length` bytes; returns where they began. */
  private step(length: number): number {
    const start = this.at;
    if (length > this.bytes.length - start) throw this.wrong("it is cut");
    this.at = start + length;
    return start;
  }

  /** An integer of at most 32 bits. */
  private small(): number {
    const value = this.low();
    if (this.high) throw this.wrong("an integer has more than 32 bits");
    return value;
  }

  /** The low 32 bits of an integer of at most 64. */
  private low(): number {
    let value = 0;
    this.high = false;
    for (let i = 0; i < 10; i++) {
      const byte = this.view.getUint8(this.step(1));
      const bits = byte & 0x7f;
      if (i < 5) value |= bits << (7 * i);
      this.high ||= i === 4 ? bits > 0x0f : i > 4 && bits !== 0;
      if (byte < 0x80) {
        if (i === 9 && byte > 1) break;
        return value >>> 0;
      }
    }
    throw this.wrong("an integer has more than 64 bits");
  }
}
