#!/bin/bash -eu
# Builds every target into $OUT with its seed corpus, dictionary and options, as ClusterFuzzLite and OSS-Fuzz want them. The engine sets SRC, OUT,
# SANITIZER and FUZZING_ENGINE, and the image has a nightly toolchain with cargo-fuzz.
cd "$SRC/meta-stats-server"

case "${FUZZING_ENGINE:-libfuzzer}" in
  libfuzzer) ;;
  *)
    echo "build.sh: cargo-fuzz builds for libfuzzer only, not for $FUZZING_ENGINE" >&2
    exit 1
    ;;
esac
case "${SANITIZER:-address}" in
  coverage) build=(--sanitizer none) ;; # the image's RUSTFLAGS instrument for it
  *) build=(--sanitizer "${SANITIZER:-address}") ;;
esac

# The image's default toolchain is a nightly one; elsewhere it is asked for.
if ! cargo --version | grep -q nightly; then
  export RUSTUP_TOOLCHAIN=nightly
fi
cargo fuzz build "${build[@]}" --debug-assertions

host=$(rustc -vV | sed -n 's/^host: //p')
for options in fuzz/options/*.options; do
  target=$(basename "$options" .options)
  cp "${CARGO_TARGET_DIR:-target}/$host/release/$target" "$OUT/"
  cp "$options" "fuzz/dictionaries/$target.dict" "$OUT/"
  zip -q -j -r "$OUT/${target}_seed_corpus.zip" "fuzz/corpus/$target" "fuzz/regressions/$target"
done
