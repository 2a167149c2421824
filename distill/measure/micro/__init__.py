"""Runs files in TFLite Micro, the interpreter for microcontrollers, beside LiteRT.

What is measured here is its build for this machine: x86-64 with the reference kernels.
On a board, pointers are half as long, and kernels made for it may need more memory.
"""
