#!/bin/sh
# Compiles a crate of the workspace with coverage counters for libFuzzer. Cargo calls
# it for members only, so third-party crates are not built a second time.
exec "$@" -Cpasses=sancov-module -Ccodegen-units=4 \
    -Cllvm-args=-sanitizer-coverage-level=4 \
    -Cllvm-args=-sanitizer-coverage-inline-8bit-counters \
    -Cllvm-args=-sanitizer-coverage-pc-table \
    -Cllvm-args=-sanitizer-coverage-trace-compares
