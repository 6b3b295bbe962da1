# Install and export, so that find_package(cleave) and pkg-config work from other projects.

include(GNUInstallDirs)
include(CMakePackageConfigHelpers)
set(package_dir ${CMAKE_INSTALL_LIBDIR}/cmake/cleave)

install(TARGETS cleave cleave_app EXPORT cleaveTargets FILE_SET HEADERS)
install(TARGETS cleave_program)
install(EXPORT cleaveTargets NAMESPACE cleave:: DESTINATION ${package_dir})

configure_package_config_file(${CMAKE_CURRENT_LIST_DIR}/cleaveConfig.cmake.in
  ${PROJECT_BINARY_DIR}/cleaveConfig.cmake INSTALL_DESTINATION ${package_dir})
write_basic_package_version_file(${PROJECT_BINARY_DIR}/cleaveConfigVersion.cmake
  COMPATIBILITY SameMajorVersion)
install(FILES
  ${PROJECT_BINARY_DIR}/cleaveConfig.cmake
  ${PROJECT_BINARY_DIR}/cleaveConfigVersion.cmake
  DESTINATION ${package_dir})

# A static library makes its users link what it needs itself.
if(BUILD_SHARED_LIBS)
  set(pc_private .private)
endif()
if(TARGET TIFF::TIFF)
  set(pc_tiff " libtiff-4")
endif()
file(RELATIVE_PATH pc_up /prefix/${CMAKE_INSTALL_LIBDIR}/pkgconfig /prefix)
configure_file(${CMAKE_CURRENT_LIST_DIR}/cleave.pc.in ${PROJECT_BINARY_DIR}/cleave.pc @ONLY)
install(FILES ${PROJECT_BINARY_DIR}/cleave.pc DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig)

install(DIRECTORY ${PROJECT_SOURCE_DIR}/slurm DESTINATION ${CMAKE_INSTALL_DATADIR}/cleave
  USE_SOURCE_PERMISSIONS PATTERN cluster EXCLUDE)
install(FILES ${PROJECT_SOURCE_DIR}/docs/cleave.1 DESTINATION ${CMAKE_INSTALL_MANDIR}/man1)
install(FILES ${PROJECT_SOURCE_DIR}/scripts/completion/cleave.bash
  DESTINATION ${CMAKE_INSTALL_DATADIR}/bash-completion/completions RENAME cleave)
