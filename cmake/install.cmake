# `cmake --install build/release --prefix DIR`; then find_package(Tidemill) with CMAKE_PREFIX_PATH=DIR.
include(CMakePackageConfigHelpers)
get_property(tidemill_modules GLOBAL PROPERTY TIDEMILL_MODULES)
foreach(module IN LISTS tidemill_modules)
  get_target_property(kind ${module} TYPE)
  get_target_property(sets ${module} HEADER_SETS)
  get_target_property(interface_sets ${module} INTERFACE_HEADER_SETS)
  if(sets OR interface_sets)
    install(TARGETS ${module} EXPORT TidemillTargets ARCHIVE DESTINATION ${CMAKE_INSTALL_LIBDIR}
            FILE_SET HEADERS DESTINATION ${CMAKE_INSTALL_INCLUDEDIR}/tidemill)
  else()
    install(TARGETS ${module} EXPORT TidemillTargets ARCHIVE DESTINATION ${CMAKE_INSTALL_LIBDIR})
  endif()
endforeach()
install(EXPORT TidemillTargets NAMESPACE Tidemill:: DESTINATION ${CMAKE_INSTALL_LIBDIR}/cmake/Tidemill)
install(FILES ${PROJECT_SOURCE_DIR}/cmake/TidemillConfig.cmake ${PROJECT_SOURCE_DIR}/cmake/dependencies.cmake
        DESTINATION ${CMAKE_INSTALL_LIBDIR}/cmake/Tidemill)
write_basic_package_version_file(${CMAKE_CURRENT_BINARY_DIR}/TidemillConfigVersion.cmake COMPATIBILITY SameMinorVersion)
install(FILES ${CMAKE_CURRENT_BINARY_DIR}/TidemillConfigVersion.cmake DESTINATION ${CMAKE_INSTALL_LIBDIR}/cmake/Tidemill)
foreach(program feature_pipeline tidemill)
  if(TARGET ${program})
    install(TARGETS ${program} RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR} COMPONENT programs)
  endif()
endforeach()

# Neither enabled nor started: who installs decides. systemd-sysusers makes the user that the unit names.
install(FILES ${PROJECT_SOURCE_DIR}/deploy/tidemill.service DESTINATION lib/systemd/system COMPONENT programs)
install(FILES ${PROJECT_SOURCE_DIR}/deploy/tidemill.sysusers DESTINATION lib/sysusers.d RENAME tidemill.conf COMPONENT programs)
install(FILES ${PROJECT_SOURCE_DIR}/deploy/prometheus/prometheus.yml ${PROJECT_SOURCE_DIR}/deploy/prometheus/tidemill.rules.yaml
  DESTINATION share/tidemill/prometheus COMPONENT programs)
install(FILES ${PROJECT_SOURCE_DIR}/deploy/grafana/tidemill.json DESTINATION share/tidemill/grafana COMPONENT programs)
