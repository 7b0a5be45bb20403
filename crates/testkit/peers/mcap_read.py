"""Reads a recording with PyPI mcap and prints what it holds, one fact a line.

The file is read twice: as a stream of records with all checksums validated, and
through its summary and indexes with the messages decoded by the schema in it.
"""

import hashlib
import sys
import zlib
from collections import Counter

from mcap.records import Channel, DataEnd, Message, Metadata, Schema
from mcap.reader import make_reader
from mcap.stream_reader import StreamReader
from mcap_protobuf.decoder import DecoderFactory

path = sys.argv[1]

schemas, channels, counts, ended = {}, {}, Counter(), False
with open(path, "rb") as stream:
    for record in StreamReader(stream, validate_crcs=True).records:
        if isinstance(record, Schema):
            schemas[record.id] = record
        elif isinstance(record, Channel):
            channels[record.id] = record
        elif isinstance(record, Message):
            counts[record.channel_id] += 1
        elif isinstance(record, Metadata):
            pairs = " ".join(f"{key}={value}" for key, value in record.metadata.items())
            print(f"metadata {record.name} {pairs}")
        elif isinstance(record, DataEnd):
            ended = True
            if record.data_section_crc == 0:
                sys.exit("the data section has no checksum")
if not ended:
    sys.exit("the recording has no end")
for number, channel in channels.items():
    if channel.message_encoding != "protobuf":
        sys.exit(f"{channel.topic} is encoded as {channel.message_encoding}")
    print(channel.topic, schemas[channel.schema_id].name, counts[number])

# The checksum of the data section covers every byte before its DataEnd record:
# opcode (1), length (8), checksum (4). It is found from the footer, whose summary
# start follows it.
data = open(path, "rb").read()
footer = len(data) - 8 - 20
summary_start = int.from_bytes(data[footer : footer + 8], "little")
end = summary_start - 13
found = int.from_bytes(data[summary_start - 4 : summary_start], "little")
if data[end] != 0x0F or zlib.crc32(data[:end]) != found:
    sys.exit("the checksum of the data section is wrong")

last = {}
with open(path, "rb") as stream:
    reader = make_reader(stream, validate_crcs=True, decoder_factories=[DecoderFactory()])
    stated = reader.get_summary().statistics.channel_message_counts
    if dict(stated) != dict(counts):
        sys.exit(f"the summary counts {stated}, there are {counts}")
    for _, channel, message, value in reader.iter_decoded_messages():
        last[channel.topic] = (message, value)
        if channel.topic.endswith("/image"):
            digest = hashlib.sha256(value.data).hexdigest()
            size = f"{value.width}x{value.height}"
            print("picture", value.part, value.viewpoint, value.format, size, digest)

for topic, (message, value) in last.items():
    print(f"last {topic} log_time={message.log_time} publish_time={message.publish_time}")
    if topic == "/robot/state":
        print(f"q={list(value.q)} digital_out={value.digital_out} token={value.token}")
    if topic == "/robot/wrench":
        print(f"force={list(value.force)} torque={list(value.torque)}")
