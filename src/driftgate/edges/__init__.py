"""Where the outside begins: text that is shown, numbers and options that are given, programs that are started."""
