# What every target of the project is compiled with: link twincheck_options.
add_library(twincheck_options INTERFACE)
target_include_directories(twincheck_options INTERFACE ${PROJECT_SOURCE_DIR})
target_compile_options(twincheck_options INTERFACE -Wall -Wextra -Wshadow -Wconversion -Wno-sign-conversion
                                                   $<$<BOOL:${TWINCHECK_WERROR}>:-Werror>)
# Arithmetic is what the source says: no fused multiply-add that it did not ask for.
target_compile_options(twincheck_options INTERFACE -ffp-contract=off)
if(TWINCHECK_SANITIZE)
  # A target with the property TWINCHECK_UNINSTRUMENTED stands for a library that somebody else has built.
  set(instrumented $<NOT:$<BOOL:$<TARGET_PROPERTY:TWINCHECK_UNINSTRUMENTED>>>)
  target_compile_options(twincheck_options INTERFACE
    "$<${instrumented}:-fsanitize=${TWINCHECK_SANITIZE};-fno-sanitize-recover=all;-fno-omit-frame-pointer>")
  target_link_options(twincheck_options INTERFACE "$<${instrumented}:-fsanitize=${TWINCHECK_SANITIZE}>")
endif()
if(TWINCHECK_FUZZ)
  # An engine of somebody else's comes with flags of its own in CXXFLAGS. The mutator knows what is compared with what: a call at
  # each comparison would be the slowest part. Fibres have stacks of their own: how deep the lowest one is says nothing.
  set(TWINCHECK_FUZZ_INSTRUMENTS -fno-sanitize-coverage=trace-cmp,stack-depth)
  if(NOT TWINCHECK_FUZZ_ENGINE)
    set(TWINCHECK_FUZZ_ENGINE -fsanitize=fuzzer)
    list(PREPEND TWINCHECK_FUZZ_INSTRUMENTS -fsanitize=fuzzer-no-link)
  endif()
  separate_arguments(TWINCHECK_FUZZ_ENGINE)
endif()
find_program(TWINCHECK_LLD ld.lld)
if(TWINCHECK_LLD)
  target_link_options(twincheck_options INTERFACE -fuse-ld=lld)
endif()
