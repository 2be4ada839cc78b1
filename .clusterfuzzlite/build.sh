#!/bin/bash -eu
# Builds the fuzzers for an engine of somebody else's, as ClusterFuzzLite and OSS-Fuzz do: from $SRC/twincheck, with $CC, $CXX,
# $CFLAGS, $CXXFLAGS and $LIB_FUZZING_ENGINE, in $WORK, into $OUT: each fuzzer with its seeds, dictionary and options. What the
# products need beside the C library lies in $OUT/lib, and they find it wherever the folder goes.
#
# $FUZZING_ENGINE and $SANITIZER name the build's folder in $WORK; the flags of both are in $CFLAGS and $CXXFLAGS.
# $TWINCHECK_FUZZERS: which to build, all unless told.
root=$SRC/twincheck
build=$WORK/twincheck-${FUZZING_ENGINE:-engine}-${SANITIZER:-none}
read -ra fuzzers <<<"${TWINCHECK_FUZZERS:-fuzz_wrapper fuzz_append fuzz_sequence fuzz_case}"

# The distribution's C++ libraries are libstdc++'s, so the fuzzers are. With an rpath, not a runpath, libraries find each other.
env -u CFLAGS -u CXXFLAGS -u LDFLAGS cmake -G Ninja -S "$root" -B "$build" -DCMAKE_BUILD_TYPE=None \
  -DCMAKE_C_COMPILER="$CC" -DCMAKE_CXX_COMPILER="$CXX" -DCMAKE_C_FLAGS="$CFLAGS" \
  -DCMAKE_CXX_FLAGS="${CXXFLAGS//-stdlib=libc++/}" -DCMAKE_EXE_LINKER_FLAGS=-Wl,--disable-new-dtags \
  -DCMAKE_BUILD_RPATH="\$ORIGIN/lib" -DTWINCHECK_FUZZ=ON -DTWINCHECK_FUZZ_ENGINE="$LIB_FUZZING_ENGINE" \
  -DTWINCHECK_TESTS=OFF -DTWINCHECK_HIP=OFF -DTWINCHECK_CUDA=OFF
cmake --build "$build" --parallel "$(nproc)" --target "${fuzzers[@]}"

mkdir -p "$OUT/lib"
for fuzzer in "${fuzzers[@]}"; do
  cp -- "$build/bin/$fuzzer" "$OUT/$fuzzer"
  ldd "$build/bin/$fuzzer" | awk '$2 == "=>" && $1 !~ /^lib(c|m|dl|pthread|rt|resolv)\.so/ { print $3 }' |
    xargs --no-run-if-empty cp --dereference --update --target-directory="$OUT/lib"
  cp -- "$root/fuzz/dictionary" "$OUT/$fuzzer.dict"
  cp -- "$root/fuzz/libfuzzer.options" "$OUT/$fuzzer.options"
  rm -f -- "$OUT/${fuzzer}_seed_corpus.zip"
  find "$root/corpus/seeds/$fuzzer" "$root/corpus/regressions/$fuzzer" -type f ! -name '*.md' 2>/dev/null | sort |
    zip --quiet --junk-paths "$OUT/${fuzzer}_seed_corpus.zip" -@
done
