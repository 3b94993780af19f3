# Manual pages and completion, which the programs print, and the Debian package: `scripts/package`.
if(TIDEMILL_SANITIZE OR NOT TARGET tidemill)
  return()
endif()
find_package(Python3 REQUIRED COMPONENTS Interpreter)
set(documents ${PROJECT_BINARY_DIR}/documents)
file(MAKE_DIRECTORY ${documents})
set(pages)
foreach(program tidemill feature_pipeline)
  if(TARGET ${program})
    add_custom_command(OUTPUT ${documents}/${program}.1.gz
      COMMAND ${Python3_EXECUTABLE} -B ${PROJECT_SOURCE_DIR}/cmake/man_page.py $<TARGET_FILE:${program}> ${PROJECT_VERSION} ${documents}/${program}.1.gz
      DEPENDS ${program} ${PROJECT_SOURCE_DIR}/cmake/man_page.py VERBATIM)
    list(APPEND pages ${documents}/${program}.1.gz)
  endif()
endforeach()
add_custom_command(OUTPUT ${documents}/tidemill.bash ${documents}/_tidemill
  COMMAND tidemill completion bash > ${documents}/tidemill.bash
  COMMAND tidemill completion zsh > ${documents}/_tidemill
  DEPENDS tidemill VERBATIM)
# Debian's changelog is compressed.
add_custom_command(OUTPUT ${documents}/changelog.gz
  COMMAND gzip -9nc ${PROJECT_SOURCE_DIR}/CHANGELOG.md > ${documents}/changelog.gz
  DEPENDS ${PROJECT_SOURCE_DIR}/CHANGELOG.md VERBATIM)
add_custom_target(documents ALL DEPENDS ${pages} ${documents}/tidemill.bash ${documents}/_tidemill ${documents}/changelog.gz)

install(FILES ${pages} DESTINATION ${CMAKE_INSTALL_MANDIR}/man1 COMPONENT programs)
install(FILES ${documents}/tidemill.bash DESTINATION ${CMAKE_INSTALL_DATADIR}/bash-completion/completions RENAME tidemill COMPONENT programs)
install(FILES ${documents}/_tidemill DESTINATION ${CMAKE_INSTALL_DATADIR}/zsh/vendor-completions COMPONENT programs)
install(FILES ${documents}/changelog.gz DESTINATION ${CMAKE_INSTALL_DATADIR}/doc/tidemill COMPONENT programs)
install(FILES ${PROJECT_SOURCE_DIR}/LICENSE DESTINATION ${CMAKE_INSTALL_DATADIR}/doc/tidemill RENAME copyright COMPONENT programs)
install(FILES ${PROJECT_SOURCE_DIR}/jobs/feature_pipeline/features.yaml DESTINATION ${CMAKE_INSTALL_DATADIR}/doc/tidemill/examples COMPONENT programs)

# Only what runs: headers and libraries are for `cmake --install`.
set(CPACK_GENERATOR DEB)
set(CPACK_PACKAGE_NAME tidemill)
set(CPACK_PACKAGE_CONTACT "Tidemill maintainers <maintainers@tidemill.invalid>")
set(CPACK_PACKAGE_DESCRIPTION_SUMMARY "stream processor with event time and exactly-once Kafka")
set(CPACK_PACKAGING_INSTALL_PREFIX /usr)
set(CPACK_INSTALL_DEFAULT_DIRECTORY_PERMISSIONS OWNER_READ OWNER_WRITE OWNER_EXECUTE GROUP_READ GROUP_EXECUTE WORLD_READ WORLD_EXECUTE)
set(CPACK_STRIP_FILES ON)
set(CPACK_COMPONENTS_ALL programs)
set(CPACK_DEB_COMPONENT_INSTALL ON)
set(CPACK_DEBIAN_PROGRAMS_PACKAGE_NAME tidemill)
set(CPACK_DEBIAN_PROGRAMS_FILE_NAME DEB-DEFAULT)
set(CPACK_COMPONENT_PROGRAMS_DESCRIPTION
    "Supervises stream processing jobs on a machine: REST API, command, web page, metrics;\nand the job that computes trailing-window features per user.")
set(CPACK_DEBIAN_PACKAGE_SECTION net)
set(CPACK_DEBIAN_PACKAGE_SHLIBDEPS ON)
set(CPACK_DEBIAN_PACKAGE_CONTROL_STRICT_PERMISSION ON)
set(CPACK_DEBIAN_PROGRAMS_PACKAGE_CONTROL_EXTRA ${PROJECT_SOURCE_DIR}/deploy/debian/postinst ${PROJECT_SOURCE_DIR}/deploy/debian/postrm)
include(CPack)
