# cmake -D PATCH=FILE -D SOURCES=DIR -D INTO=DIR -D BESIDE=FILE -D PROGRAM=patch -P apply.cmake
#
# Copies the files that a patch touches from SOURCES into INTO and applies the patch to the copies, strictly: every line of
# context must match. Ends in an error that names the patch where it does not. BESIDE becomes a copy of the patch.
file(STRINGS ${PATCH} targets REGEX "^\\+\\+\\+ b/")
if(NOT targets)
  message(FATAL_ERROR "${PATCH}: no line '+++ b/optimized/FILE': it patches nothing")
endif()
file(REMOVE_RECURSE ${INTO})
foreach(line ${targets})
  string(REGEX REPLACE "^\\+\\+\\+ b/([^\t ]*).*" "\\1" name ${line})
  if(NOT EXISTS ${SOURCES}/${name})
    message(FATAL_ERROR "${PATCH} no longer applies: there is no ${name}")
  endif()
  get_filename_component(folder ${INTO}/${name} DIRECTORY)
  file(COPY ${SOURCES}/${name} DESTINATION ${folder})
endforeach()
execute_process(COMMAND ${PROGRAM} --fuzz=0 --strip=1 --force --no-backup-if-mismatch --reject-file=- --directory=${INTO}
                        --input=${PATCH}
                RESULT_VARIABLE status OUTPUT_VARIABLE output ERROR_VARIABLE output)
if(NOT status EQUAL 0)
  file(REMOVE_RECURSE ${INTO})
  message(FATAL_ERROR "${PATCH} no longer applies: make it anew for the sources as they are (docs/mutants.md)\n${output}")
endif()
configure_file(${PATCH} ${BESIDE} COPYONLY)
