# The job files that `preset:` in a job can name, by their file names. The server has them as
# specs, the command line as text.
set(DISTILL_PRESET_NAMES
  fashion-mnist-nac
  fashion-mnist-vit
  fashion-mnist-vmoe
  presets/m2mkd-nac-imagenet
  presets/m2mkd-nac-imagenet-few-shot
  presets/m2mkd-nac-tiny-imagenet
  presets/m2mkd-nac-tiny-imagenet-few-shot
  presets/m2mkd-nac-tiny-modules
  presets/m2mkd-vmoe-base-few-shot
  presets/m2mkd-vmoe-base-imagenet
  presets/m2mkd-vmoe-large-imagenet
  tiny
)
set(DISTILL_PRESET_FILES)
foreach(name IN LISTS DISTILL_PRESET_NAMES)
  list(APPEND DISTILL_PRESET_FILES "${PROJECT_SOURCE_DIR}/deploy/jobs/${name}.yaml")
endforeach()

# Generates `output`, a C++ source, from all presets: their texts or their specs.
function(distill_generate_presets form output)
  add_custom_command(
    OUTPUT "${output}"
    COMMAND preset_compiler "${form}" "${output}" ${DISTILL_PRESET_FILES}
    DEPENDS preset_compiler ${DISTILL_PRESET_FILES}
    COMMENT "Compiling presets into ${form}"
    VERBATIM)
endfunction()
