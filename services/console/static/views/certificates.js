import { emptyState, heading } from "../ui.js";

export default {
  title: "Certificates",
  path: "certificates",
  mount(root) {
    root.append(heading("Certificates"), emptyState("Not here yet", "This view is still to come."));
  },
};
