// One word for "set this field unless the user did".
#pragma once

// Sets optional field `field` of the message that `message` points to unless it is set.
#define DISTILL_SET_DEFAULT(message, field, value)                \
  do {                                                            \
    if (!(message)->has_##field()) (message)->set_##field(value); \
  } while (false)
