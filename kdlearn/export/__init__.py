"""A network taken out of Python: ONNX, int8, a C header; and what each of two models costs.

export.to_onnx(student, "student.onnx", scaler=scaler, classes=["ham", "spam"])
export.to_c(student, "student.h", "student", int8=True)
print(export.format_report(export.report(student, teacher, x_test, y_test)))
"""

from kdlearn.export.c_header import to_c
from kdlearn.export.costs import format_report, report
from kdlearn.export.onnx_file import quantize_onnx, to_onnx

__all__ = ["format_report", "quantize_onnx", "report", "to_c", "to_onnx"]
