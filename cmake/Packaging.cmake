# Debian packages: distillery-server, distillery-worker and distillery-client, made by `./dev package`
# (or `cpack` in the build folder, once the programs are built). docs/deployment.md installs them.
if(CMAKE_INSTALL_PREFIX STREQUAL "/usr/local")
  # CMake's own default. Units and settings name programs by where a package puts them.
  set(CMAKE_INSTALL_PREFIX /usr CACHE PATH "Where programs are installed" FORCE)
endif()
include(GNUInstallDirs)

# Packages hold the programs only; `cpack` need not build every test for them.
set(CMAKE_SKIP_INSTALL_ALL_DEPENDENCY ON)

set(deploy "${PROJECT_SOURCE_DIR}/deploy")
set(DISTILL_PACKAGE_DOCS docs/operations.md docs/runbooks.md docs/deployment.md docs/metrics.md)

# A program, its unit, user, folder and settings.
function(distill_install_service component program)
  install(TARGETS ${program} RUNTIME COMPONENT ${component})
  install(FILES "${deploy}/systemd/${program}.service" DESTINATION lib/systemd/system COMPONENT ${component})
  install(FILES "${deploy}/systemd/${program}.sysusers"
    DESTINATION lib/sysusers.d RENAME ${program}.conf COMPONENT ${component})
  install(FILES "${deploy}/systemd/${program}.tmpfiles"
    DESTINATION lib/tmpfiles.d RENAME ${program}.conf COMPONENT ${component})
  install(FILES "${deploy}/systemd/${component}.conf" DESTINATION /etc/distillery COMPONENT ${component})
  install(FILES ${DISTILL_PACKAGE_DOCS}
    DESTINATION ${CMAKE_INSTALL_DATADIR}/doc/distillery-${component} COMPONENT ${component})
endfunction()

distill_install_service(server distill-server)
install(FILES "${deploy}/prometheus/rules.yml" "${deploy}/prometheus/prometheus.yml"
  DESTINATION ${CMAKE_INSTALL_DATADIR}/doc/distillery-server/prometheus COMPONENT server)
install(DIRECTORY "${deploy}/grafana/" DESTINATION ${CMAKE_INSTALL_DATADIR}/doc/distillery-server/grafana
  COMPONENT server FILES_MATCHING PATTERN "*.json")
install(PROGRAMS "${deploy}/ca/ca.sh" TYPE BIN RENAME distill-ca COMPONENT server)

distill_install_service(worker distill-worker)
if(TARGET distill-trainer)
  install(TARGETS distill-trainer RUNTIME COMPONENT worker)
endif()

install(TARGETS distill RUNTIME COMPONENT client)
install(DIRECTORY "${deploy}/jobs/" DESTINATION ${CMAKE_INSTALL_DATADIR}/doc/distillery-client/examples
  COMPONENT client)

foreach(component server worker client)
  install(FILES LICENSE DESTINATION ${CMAKE_INSTALL_DATADIR}/doc/distillery-${component}
    RENAME copyright COMPONENT ${component})
endforeach()

set(CPACK_GENERATOR DEB)
set(CPACK_PACKAGE_NAME distillery)
set(CPACK_PACKAGE_VENDOR "Distillery")
set(CPACK_PACKAGE_CONTACT "The developers of Distillery <distillery@localhost>")
set(CPACK_PACKAGE_DESCRIPTION_SUMMARY "Distillation of vision models into modules, as a service")
set(CPACK_PACKAGE_DIRECTORY "${PROJECT_BINARY_DIR}/packages")
set(CPACK_SET_DESTDIR ON)
set(CPACK_STRIP_FILES ON)
set(CPACK_COMPONENTS_ALL server worker client)
set(CPACK_DEB_COMPONENT_INSTALL ON)
set(CPACK_DEBIAN_FILE_NAME DEB-DEFAULT)
set(CPACK_DEBIAN_PACKAGE_SECTION science)
set(CPACK_DEBIAN_PACKAGE_SHLIBDEPS ON)
set(CPACK_DEBIAN_PACKAGE_CONTROL_STRICT_PERMISSION ON)

set(CPACK_DEBIAN_SERVER_PACKAGE_NAME distillery-server)
set(CPACK_COMPONENT_SERVER_DESCRIPTION "The server: jobs, tasks, leases and artifacts")
set(CPACK_DEBIAN_SERVER_PACKAGE_DEPENDS "systemd | systemd-standalone-sysusers")
set(CPACK_DEBIAN_SERVER_PACKAGE_RECOMMENDS openssl)  # distill-ca
set(CPACK_DEBIAN_SERVER_PACKAGE_SUGGESTS "distillery-client, postgresql, prometheus")
set(CPACK_DEBIAN_WORKER_PACKAGE_NAME distillery-worker)
set(CPACK_COMPONENT_WORKER_DESCRIPTION "The worker and its trainer, for every machine that trains")
# LibTorch finds its BLAS at run time, and is several times slower with the reference one.
set(CPACK_DEBIAN_WORKER_PACKAGE_DEPENDS "libopenblas0-pthread, systemd | systemd-standalone-sysusers")
set(CPACK_DEBIAN_CLIENT_PACKAGE_NAME distillery-client)
set(CPACK_COMPONENT_CLIENT_DESCRIPTION "The command line")
set(CPACK_DEBIAN_CLIENT_PACKAGE_SUGGESTS "distillery-server, distillery-worker, dataset-fashion-mnist")

# Maintainer scripts, the same for both services.
foreach(component server worker)
  set(service distill-${component})
  set(CONFIGURATION_FILE /etc/distillery/${component}.conf)
  set(scripts "${PROJECT_BINARY_DIR}/debian/${component}")
  foreach(script postinst prerm postrm conffiles)
    configure_file("${deploy}/debian/${script}.in" "${scripts}/${script}" @ONLY
      FILE_PERMISSIONS OWNER_READ OWNER_WRITE OWNER_EXECUTE GROUP_READ GROUP_EXECUTE WORLD_READ WORLD_EXECUTE)
  endforeach()
  string(TOUPPER ${component} upper)
  set(CPACK_DEBIAN_${upper}_PACKAGE_CONTROL_EXTRA
    "${scripts}/postinst;${scripts}/prerm;${scripts}/postrm;${scripts}/conffiles")
endforeach()

include(CPack)
