# cmake --install: a prefix that can be moved as a whole, since the program finds everything from its own place.
#
#   bin/twincheck                 lib/libtwincheck_*.so: the project's candidates, and the adapters
#   include/twincheck             contract/ (the candidate ABI) and hip_cpu/ (the HIP runtime of the CPU platform)
#   lib/cmake/twincheck           find_package(twincheck)
#   lib/twincheck/mutants         where the target `mutants` was built
#   share/twincheck/corpus, share/doc/twincheck, completions of bash and zsh
include(CMakePackageConfigHelpers)

if(NOT TARGET twincheck)
  return()
endif()
install(TARGETS twincheck RUNTIME DESTINATION bin)
install(TARGETS twincheck_cpu twincheck_cpu_unfused LIBRARY DESTINATION lib)
install(TARGETS twincheck_hip_cpu ARCHIVE DESTINATION lib)
# What this build was not asked for, or could not make, is not there.
foreach(adapter twincheck_python twincheck_code_object)
  if(TARGET ${adapter})
    install(TARGETS ${adapter} LIBRARY DESTINATION lib OPTIONAL)
  endif()
endforeach()
foreach(library hip hip_unfused cuda cuda_unfused)
  install(PROGRAMS ${CMAKE_LIBRARY_OUTPUT_DIRECTORY}/libtwincheck_${library}.so DESTINATION lib OPTIONAL)
endforeach()
install(FILES harness/candidate/python/twincheck.py DESTINATION lib/python)
install(DIRECTORY ${CMAKE_LIBRARY_OUTPUT_DIRECTORY}/mutants DESTINATION lib/twincheck USE_SOURCE_PERMISSIONS OPTIONAL)

install(FILES contract/candidate.h DESTINATION include/twincheck/contract)
install(DIRECTORY optimized/platform/cpu/hip DESTINATION include/twincheck/hip_cpu FILES_MATCHING PATTERN *.h)
install(DIRECTORY corpus/models corpus/edges corpus/regressions corpus/golden DESTINATION share/twincheck/corpus)
install(FILES harness/cli/completion/twincheck.bash DESTINATION share/bash-completion/completions RENAME twincheck)
install(FILES harness/cli/completion/_twincheck DESTINATION share/zsh/site-functions)
install(FILES LICENSE README.md DESTINATION share/doc/twincheck)
install(DIRECTORY docs DESTINATION share/doc/twincheck)

configure_package_config_file(cmake/twincheckConfig.cmake.in ${PROJECT_BINARY_DIR}/package/twincheckConfig.cmake
                              INSTALL_DESTINATION lib/cmake/twincheck)
write_basic_package_version_file(${PROJECT_BINARY_DIR}/package/twincheckConfigVersion.cmake COMPATIBILITY SameMinorVersion)
install(FILES ${PROJECT_BINARY_DIR}/package/twincheckConfig.cmake ${PROJECT_BINARY_DIR}/package/twincheckConfigVersion.cmake
              cmake/twincheck_add_gate.cmake
        DESTINATION lib/cmake/twincheck)
