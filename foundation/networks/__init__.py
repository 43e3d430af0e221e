"""The U-Net, its counted calls, and what it runs on: devices and the compiler."""
