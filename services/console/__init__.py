"""The web UI: what a browser sees of the system, as the identity `console`. README.md is its guide.

It is a frame, and one module for each view:

    exposure     who may talk to the console at all: Host, Origin, token; headers of every answer
    gateway      calls to the gateway as `console`; passing a response through while it arrives
    sight        what a handshake with the gateway or the queue shows, and what the files say
    context      what a view's handlers find in the application
    videos, handshake, intruders, access, certificates
                 one view each: `add(app)` adds its routes below /api/, and what they need
    static/      the page: index.html, app.css, app.js, and views/<view>.js for each view
"""
