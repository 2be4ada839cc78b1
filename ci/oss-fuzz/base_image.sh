# shellcheck shell=bash
# The environment of build.sh and of a fuzzer as the base images of ClusterFuzzLite and OSS-Fuzz make it, with this machine's
# compilers in place of theirs.

# base_builder ENGINE SANITIZER: libfuzzer or afl; address, undefined or coverage. Ends in 77 where a compiler is not here.
base_builder() {
  local checks=array-bounds,bool,builtin,enum,function,integer-divide-by-zero,null,object-size,return,returns-nonnull-attribute
  checks+=,shift,signed-integer-overflow,unreachable,vla-bound,vptr
  local flags="-O1 -fno-omit-frame-pointer -gline-tables-only -DFUZZING_BUILD_MODE_UNSAFE_FOR_PRODUCTION"
  case $2 in
    address) flags+=" -fsanitize=address -fsanitize-address-use-after-scope" ;;
    undefined) flags+=" -fsanitize=$checks,unsigned-integer-overflow -fno-sanitize-recover=$checks" ;;
    coverage)
      flags+=" -fprofile-instr-generate -fcoverage-mapping -pthread -Wl,--no-as-needed -Wl,-ldl -Wl,-lm"
      flags+=" -Wno-unused-command-line-argument"
      ;;
  esac
  export FUZZING_ENGINE=$1 SANITIZER=$2 ARCHITECTURE=x86_64 FUZZING_LANGUAGE=c++
  if [[ $1 == libfuzzer ]]; then
    have clang++ clang
    if [[ $2 != coverage ]]; then flags+=" -fsanitize=fuzzer-no-link"; fi
    export CC=clang CXX=clang++ LIB_FUZZING_ENGINE=-fsanitize=fuzzer
  else
    have afl-clang-fast++ afl++
    local driver
    for driver in /usr/lib/afl /usr/local/lib/afl; do
      if [[ -e $driver/libAFLDriver.a ]]; then break; fi
    done
    export CC=afl-clang-fast CXX=afl-clang-fast++ LIB_FUZZING_ENGINE=$driver/libAFLDriver.a AFL_QUIET=1
    export ASAN_OPTIONS=detect_leaks=0:symbolize=0:detect_odr_violation=0:abort_on_error=1
  fi
  export CFLAGS=$flags CXXFLAGS="$flags -stdlib=libc++"
}

# base_runner COMMAND...: with nothing but what the image that runs fuzzers sets.
base_runner() {
  local asan=alloc_dealloc_mismatch=0:allocator_may_return_null=1:detect_odr_violation=0:detect_leaks=1
  asan+=:detect_stack_use_after_return=1:handle_abort=1:handle_segv=1:quarantine_size_mb=10:strict_memcmp=1:use_sigaltstack=1
  if [[ $FUZZING_ENGINE == afl ]]; then asan+=:abort_on_error=1:symbolize=0:detect_leaks=0; fi
  env -i PATH="$PATH" HOME="$PWD" ASAN_OPTIONS=$asan UBSAN_OPTIONS=print_stacktrace=1:print_summary=1:silence_unsigned_overflow=1 \
    AFL_NO_UI=1 AFL_SKIP_CPUFREQ=1 AFL_I_DONT_CARE_ABOUT_MISSING_CRASHES=1 AFL_TRY_AFFINITY=1 AFL_FAST_CAL=1 \
    AFL_FORKSRV_INIT_TMOUT=30000 AFL_IGNORE_PROBLEMS=1 AFL_IGNORE_UNKNOWN_ENVS=1 "$@"
}
