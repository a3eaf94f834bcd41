# Slicer writes the extension's description from these variables; the stand-in reports them and misses those not set.
stand_in_report(NAME ${PROJECT_NAME})
foreach(name HOMEPAGE CATEGORY CONTRIBUTORS DESCRIPTION ICONURL SCREENSHOTURLS DEPENDS)
  if(NOT EXTENSION_${name})
    message(FATAL_ERROR "EXTENSION_${name} is not set")
  endif()
  file(APPEND ${STAND_IN_REPORT} "${name}=${EXTENSION_${name}}\n")
endforeach()
