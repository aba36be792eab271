"""Write every picture."""

from drawing.pictures import FOLDER, PICTURES

for name, draw in PICTURES.items():
    (FOLDER / name).write_text(draw(), "utf-8")
