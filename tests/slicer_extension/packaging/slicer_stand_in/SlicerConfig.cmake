# A stand-in of 3D Slicer for CMake: what find_package(Slicer) gives an extension, as far as a scripted module uses it.
#
# It is stricter than Slicer: unknown or doubled arguments, files that do not exist, files listed twice, and names without
# an ending are errors. It installs the listed files as Slicer's packaging does, and writes what it was told into
# extension.txt, one "KEY=value" a line.
set(Slicer_USE_FILE ${CMAKE_CURRENT_LIST_DIR}/UseSlicer.cmake)
set(Slicer_EXTENSION_GENERATE_CONFIG ${CMAKE_CURRENT_LIST_DIR}/GenerateConfig.cmake)
set(Slicer_EXTENSION_CPACK ${CMAKE_CURRENT_LIST_DIR}/CPack.cmake)
set(Slicer_QTSCRIPTEDMODULES_LIB_DIR lib/Slicer/qt-scripted-modules)
