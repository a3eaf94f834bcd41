# Slicer sets up CPack here; installing the listed files is what the tests need of it.
stand_in_report(PACKAGED ${PROJECT_NAME})
